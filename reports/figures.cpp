#include "reports/figures.h"

namespace m3d::reports {

Drawing omitted(const std::string& name, const std::string& title, const std::string& reason) {
  Drawing drawing;
  drawing.figure.name = name;
  drawing.figure.title = title;
  drawing.figure.omitted = reason;
  return drawing;
}

std::string run_hashes(const Section& section) {
  std::string hashes = "runs";
  for (const Run* run : section.all_runs()) hashes += " " + run->hash;
  return hashes;
}

}  // namespace m3d::reports
