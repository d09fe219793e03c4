#pragma once
// index.html: one file with everything in it.
#include <string>
#include <vector>

#include "reports/gnuplot.h"
#include "reports/run_folder.h"
#include "reports/section.h"
#include "reports/table.h"

namespace m3d::reports {

/// A section's share of the page.
struct SectionContent {
  const Section* section = nullptr;
  std::vector<Table> main_tables;     // shown at once
  std::vector<Table> further_tables;  // folded
  std::vector<Table> published;
  std::vector<std::string> sentences;
  std::vector<Figure> figures;
};

std::string page(const std::vector<SectionContent>& sections, const FoundRuns& found,
                 const std::string& gnuplot_version);

}  // namespace m3d::reports
