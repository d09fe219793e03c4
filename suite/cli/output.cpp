#include "suite/cli/output.h"

#include <algorithm>
#include <cstdio>

#include "common/nearest_name.h"

namespace m3d {

int print_json(const Json& document) {
  std::printf("%s\n", document.dump(2).c_str());
  return 0;
}

std::string short_count(std::int64_t count) {
  const std::pair<double, const char*> units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (const auto& [unit, letter] : units) {
    if (static_cast<double>(count) < unit) continue;
    char text[32];
    std::snprintf(text, sizeof text, "%.2f %s", static_cast<double>(count) / unit, letter);
    return text;
  }
  return std::to_string(count);
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    std::printf("%s\n", line.c_str());
  }
}

CLI::Validator one_of(const std::string& kind, const std::vector<std::string>& known) {
  return CLI::Validator(
      [kind, known](const std::string& given) {
        const bool found = std::find(known.begin(), known.end(), given) != known.end();
        return found ? std::string() : unknown_name_message("value of " + kind, given, known);
      },
      "");
}

}  // namespace m3d
