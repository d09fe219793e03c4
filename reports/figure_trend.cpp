// The share of the machine's limit over time, an operator a chart.
#include <fmt/format.h>

#include <algorithm>

#include "reports/axis_ticks.h"
#include "reports/layout.h"
#include "reports/trend_section.h"

namespace m3d::reports {
namespace {

constexpr double kHeightMm = 62, kLegendMm = 6;
constexpr Panel kPanel{13, 14, 0, kHeightMm - 14 - kLegendMm};  // its width follows the picture's
constexpr std::size_t kMostTicks = 6;

struct Line {
  std::string benchmark;
  bool backward = false;
  std::vector<std::pair<std::size_t, const KernelResult*>> points;  // index of the run, from 1
};

std::vector<Line> lines_of(const TrendSection& section, const std::string& operator_name) {
  std::vector<Line> lines;
  for (const std::string& name : section.benchmarks(operator_name)) {
    Line line{name, name.find("/forward_backward/") != std::string::npos, {}};
    for (std::size_t i = 0; i < section.runs.size(); ++i)
      for (const KernelResult& result : section.runs[i].results)
        if (result.name == name && !result.milliseconds.empty()) line.points.emplace_back(i + 1, &result);
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

std::string data_text(const TrendSection& section, const std::vector<Line>& lines) {
  std::string text = "# benchmark,run,result,median_ms,percent_of_limit: a block a line\n";
  for (const Line& line : lines) {
    for (const auto& [run, result] : line.points)
      text += fmt::format("\"{}\",{},\"{}\",{:.6g},{:.6g}\n", line.benchmark, run, run_label(section.runs[run - 1]),
                          result->median_milliseconds(), result->percent_of_limit());
    text += "\n\n";
  }
  return text;
}

std::string ticks_text(const TrendSection& section) {
  const std::size_t step = (section.runs.size() + kMostTicks - 1) / kMostTicks;
  std::string ticks;
  for (std::size_t i = (section.runs.size() - 1) % step; i < section.runs.size(); i += step) {
    std::string label = run_label(section.runs[i]);
    label.replace(label.find(' '), 1, "\n");
    ticks += fmt::format("{}{} {}", ticks.empty() ? "" : ", ", quote(label), i + 1);
  }
  return "set xtics (" + ticks + ")\n";
}

std::string axes_text(const TrendSection& section, const std::vector<Line>& lines) {
  double highest = 0;
  for (const Line& line : lines)
    for (const auto& [run, result] : line.points) highest = std::max(highest, result->percent_of_limit());
  return fmt::format("set xrange [0.5:{}.5]\nset yrange [0:{:.6g}]\nset ytics {:.6g}\n", section.runs.size(),
                     1.08 * highest, round_step(highest, 5)) +
         ticks_text(section) +
         "set grid ytics linewidth 0.4 linecolor rgb \"#E4E4E4\"\nset ylabel \"Share of the machine's limit (%)\" "
         "offset 1.4,0\n";
}

}  // namespace

Drawing trend_chart(const TrendSection& section, const std::string& operator_name, const Theme& theme) {
  const std::string name = section.prefix + "trend_" + operator_name, file = name + ".csv";
  const std::vector<Line> lines = lines_of(section, operator_name);
  if (lines.empty()) return omitted(name, operator_name, "no benchmark of it has times");
  const std::string forward = theme.structures.at(4), backward = theme.structures.at(5);
  const double width = theme.double_column_mm;
  const Panel panel{kPanel.left, kPanel.bottom, width - kPanel.left - 2, kPanel.height};
  const Legend legend({{"forward", forward, 7}, {"forward and backward", backward, 5}}, panel.width, theme);
  std::string body = axes_text(section, lines) + place_axes(panel, width, kHeightMm) +
                     legend.draw(panel.left, kHeightMm - 1, width, kHeightMm);
  for (std::size_t i = 0; i < lines.size(); ++i)
    body += fmt::format(
        "{}\"{}\" index {} using 2:5 with linespoints linewidth {} pointtype {} pointsize 0.4 linecolor rgb \"{}\"",
        i == 0 ? "plot " : ", \\\n  ", file, i, theme.line_width, lines[i].backward ? 5 : 7,
        lines[i].backward ? backward : forward);
  Drawing drawing;
  drawing.figure = {name, operator_name,
                    "A line a benchmark: the least time that this machine allows, measured in the same run, over the "
                    "median time of a call. Higher is better.",
                    "", ""};
  drawing.script = {name, width, kHeightMm, body + "\n", {{file, data_text(section, lines)}}, section.machine};
  return drawing;
}

}  // namespace m3d::reports
