// fuzz_corpus FOLDER: runs every target over the files of FOLDER/<its name>. A crash, or an exception that is no
// UserError or RunError, ends it.
#include <cstdio>
#include <set>

#include "common/atomic_file.h"
#include "tests/fuzz/fuzz_target.h"

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  if (count != 2) return std::fprintf(stderr, "usage: fuzz_corpus FOLDER\n"), 2;
  for (const auto& [name, target] : m3d::fuzz::targets()) {
    const fs::path folder = fs::path(arguments[1]) / name;
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) files.insert(entry.path());
    for (const fs::path& file : files) {
      std::printf("%s\n", file.c_str());  // the last line names the culprit
      std::fflush(stdout);
      const std::string bytes = m3d::read_file(file);
      m3d::fuzz::run(target, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
    if (files.empty()) return std::fprintf(stderr, "no corpus in %s\n", folder.c_str()), 1;
  }
  return 0;
}
