// Dice per class over cases.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "reports/figures.h"
#include "reports/layout.h"
#include "reports/table.h"

namespace m3d::reports {
namespace {

constexpr double kNarrowestBoxMm = 2.4, kClassGapBoxes = 1.6, kPanelHeightMm = 42, kNamesMm = 7, kLeftMm = 13;

struct Box {
  std::size_t panel, configuration;
  std::string class_name;
  double x = 0;
  std::vector<std::pair<std::string, double>> cases;  // id, Dice in percent

  std::vector<double> values() const {
    std::vector<double> all;
    for (const auto& [id, dice] : cases) all.push_back(dice);
    return all;
  }
};

std::vector<std::pair<std::string, double>> class_cases(const Configuration& configuration,
                                                        const std::string& class_name) {
  std::map<std::string, std::vector<double>> by_case;
  for (const Run* run : configuration.runs)
    for (const CaseMetrics& entry : run->per_case)
      if (entry.class_name == class_name && entry.metrics.dice)
        by_case[entry.case_id].push_back(*entry.metrics.dice * 100);
  std::vector<std::pair<std::string, double>> cases;
  for (const auto& [id, values] : by_case) cases.emplace_back(id, *summarise(values).mean);
  return cases;
}

/// A class' name on a line a word.
std::string name_lines(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '_' || c == ' '; }, '\n');
  return name;
}

/// How classes fall into panels, how wide a box is, and what their names need below.
struct Grid {
  std::size_t classes_a_panel = 1, panels = 1;
  double slots = 1;  // box widths across a panel
  double names_mm = 0;
};

Grid grid_of(const Section& section, double plot_width, const Theme& theme) {
  const double slots_a_class = static_cast<double>(section.configurations.size()) + kClassGapBoxes;
  double narrowest = kNarrowestBoxMm * slots_a_class;
  long most_lines = 1;
  for (const std::string& name : section.classes) {
    std::istringstream words(name_lines(name));
    long lines = 0;
    for (std::string word; words >> word; ++lines) narrowest = std::max(narrowest, text_width_mm(word, theme) + 1.5);
    most_lines = std::max(most_lines, lines);
  }
  const auto fitting = static_cast<std::size_t>(plot_width / narrowest);
  const std::size_t most = std::clamp<std::size_t>(fitting, 1, section.classes.size());
  Grid grid;
  grid.panels = (section.classes.size() + most - 1) / most;
  grid.classes_a_panel = (section.classes.size() + grid.panels - 1) / grid.panels;
  grid.slots = slots_a_class * static_cast<double>(grid.classes_a_panel);
  grid.names_mm = kNamesMm + line_spacing_mm(theme) * static_cast<double>(most_lines - 1);
  return grid;
}

std::vector<Box> boxes_of(const Section& section, const Grid& grid) {
  std::vector<Box> boxes;
  const double slots_a_class = grid.slots / static_cast<double>(grid.classes_a_panel);
  for (std::size_t k = 0; k < section.classes.size(); ++k)
    for (std::size_t c = 0; c < section.configurations.size(); ++c) {
      const double x = slots_a_class * static_cast<double>(k % grid.classes_a_panel) + kClassGapBoxes / 2 +
                       static_cast<double>(c) + 0.5;
      Box box{k / grid.classes_a_panel, c, section.classes[k], x,
              class_cases(section.configurations[c], section.classes[k])};
      if (!box.cases.empty()) boxes.push_back(std::move(box));
    }
  return boxes;
}

/// The most distant value within 1.5 interquartile ranges of the box (Tukey).
double whisker(const std::vector<double>& values, bool upper) {
  const double low = quantile(values, 0.25), high = quantile(values, 0.75), reach = 1.5 * (high - low);
  double end = upper ? high : low;
  for (const double value : values)
    if (value >= low - reach && value <= high + reach) end = upper ? std::max(end, value) : std::min(end, value);
  return end;
}

std::string boxes_text(const Section& section, const std::vector<Box>& boxes) {
  std::string text =
      "panel,configuration_index,configuration,class,x,whisker_low,quartile_1,median,quartile_3,whisker_high,cases\n";
  for (const Box& box : boxes) {
    const std::vector<double> values = box.values();
    text += fmt::format("{},{},{},{},{:.4g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{}\n", box.panel, box.configuration,
                        escape_csv(section.configurations[box.configuration].label), escape_csv(box.class_name), box.x,
                        whisker(values, false), quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75),
                        whisker(values, true), values.size());
  }
  return text;
}

std::string points_text(const Section& section, const std::vector<Box>& boxes) {
  std::string text = "panel,configuration_index,configuration,class,case,x,dice_percent\n";
  for (const Box& box : boxes)
    for (std::size_t i = 0; i < box.cases.size(); ++i) {
      const double golden =
          std::fmod(0.618034 * static_cast<double>(i), 1.0);  // spreads neighbours apart, the same every time
      text += fmt::format("{},{},{},{},{},{:.4g},{:.6g}\n", box.panel, box.configuration,
                          escape_csv(section.configurations[box.configuration].label), escape_csv(box.class_name),
                          escape_csv(box.cases[i].first), box.x + 0.5 * (golden - 0.5), box.cases[i].second);
    }
  return text;
}

std::string plot_text(const Section& section, const Theme& theme, const std::string& boxes, const std::string& points,
                      std::size_t panel) {
  std::string text = "plot ";
  for (std::size_t c = 0; c < section.configurations.size(); ++c) {
    const std::string colour = theme.configuration(section, c).colour;
    const auto select = [&](int column) { return fmt::format("($1=={} && $2=={} ? ${} : NaN)", panel, c, column); };
    text += fmt::format(
        "{}\"{}\" using {}:7:6:10:9 with candlesticks whiskerbars 0.4 fillstyle solid 0.3 border linewidth 0.7 "
        "linecolor rgb \"{}\"",
        c == 0 ? "" : ", \\\n  ", boxes, select(5), colour);
    text += fmt::format(", \\\n  \"{}\" using {}:8:8:8:8 with candlesticks linewidth 1.5 linecolor rgb \"{}\"", boxes,
                        select(5), colour);
    text += fmt::format(", \\\n  \"{}\" using {}:7 with points pointtype 7 pointsize 0.18 linecolor rgb \"#60202020\"",
                        points, select(6));
  }
  return text + "\n";
}

std::string class_names(const Section& section, const Grid& grid, std::size_t panel) {
  const double slots_a_class = grid.slots / static_cast<double>(grid.classes_a_panel);
  std::string tics;
  for (std::size_t k = panel * grid.classes_a_panel;
       k < std::min(section.classes.size(), (panel + 1) * grid.classes_a_panel); ++k)
    tics += fmt::format("{}{} {:.4g}", tics.empty() ? "" : ", ", quote(name_lines(section.classes[k])),
                        slots_a_class * (static_cast<double>(k % grid.classes_a_panel) + 0.5));
  return "set xtics (" + tics + ") scale 0\n";
}

double lowest_value(const std::vector<Box>& boxes) {
  double lowest = 100;
  for (const Box& box : boxes)
    for (const auto& [id, dice] : box.cases) lowest = std::min(lowest, dice);
  return std::max(0.0, 10 * std::floor((lowest - 1) / 10));
}

}  // namespace

Drawing class_boxes(const Section& section, const Theme& theme) {
  const std::string name = section.stem("class_boxes"), title = "Dice per class over cases";
  const double width = theme.double_column_mm, plot_width = width - kLeftMm - 2;
  if (section.classes.empty()) return omitted(name, title, "no record has classes");
  const Grid grid = grid_of(section, plot_width, theme);
  const std::vector<Box> boxes = boxes_of(section, grid);
  if (boxes.empty()) return omitted(name, title, "no record has per_case entries with a Dice");
  std::vector<LegendEntry> entries;
  for (std::size_t c = 0; c < section.configurations.size(); ++c)
    entries.push_back({section.configurations[c].short_label, theme.configuration(section, c).colour, 0});
  const Legend legend(entries, plot_width, theme);
  const double pitch = kPanelHeightMm + grid.names_mm,
               height = pitch * static_cast<double>(grid.panels) + legend.height_mm() + 3;
  std::string body =
      "set multiplot\nset boxwidth 0.72\nset style data points\nset grid ytics linewidth 0.4 linecolor rgb "
      "\"#E4E6E8\"\n";
  body += fmt::format("set xrange [0:{:.4g}]\nset yrange [{:.4g}:101]\nset ylabel \"Dice (%)\" offset 1.4,0\n",
                      grid.slots, lowest_value(boxes));
  body += legend.draw(kLeftMm, height - 1, width, height);
  for (std::size_t panel = 0; panel < grid.panels; ++panel) {
    const double bottom = pitch * static_cast<double>(grid.panels - panel - 1) + grid.names_mm - 1;
    body +=
        place_axes({kLeftMm, bottom, plot_width, kPanelHeightMm}, width, height) + class_names(section, grid, panel);
    body += plot_text(section, theme, name + ".csv", name + "_points.csv", panel) +
            (panel == 0 ? "unset label\nunset object\n" : "");
  }
  Drawing drawing;
  drawing.figure = {name, title,
                    "Box: quartiles and median; whiskers: Tukey's, within 1.5 interquartile ranges; every point is a "
                    "case, averaged over the runs of its configuration.",
                    "", ""};
  drawing.script = {name,
                    width,
                    height,
                    body + "unset multiplot\n",
                    {{name + ".csv", boxes_text(section, boxes)}, {name + "_points.csv", points_text(section, boxes)}},
                    run_hashes(section)};
  return drawing;
}

}  // namespace m3d::reports
