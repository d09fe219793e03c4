// Learning curves as small panels.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/axis_ticks.h"
#include "reports/figures.h"
#include "reports/layout.h"

namespace m3d::reports {
namespace {

constexpr std::size_t kMostPoints = 150;  // of a curve; longer ones are thinned
constexpr double kPanelHeightMm = 28, kTitleMm = 7, kTicsMm = 11, kLeftMm = 14, kGapMm = 6;

/// A column of log.csv and how it is drawn.
struct Series {
  std::string column, title;
  int dash;
  double scale = 1;
};

struct Curve {
  std::size_t configuration;
  std::size_t series;
  std::uint64_t seed;
  int fold;
  bool first;  // of its configuration's runs
  std::vector<std::pair<double, double>> points;
};

struct Words {
  std::string name, title, caption, y_label;
};

std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points) {
  const std::size_t stride = (points.size() + kMostPoints - 1) / kMostPoints;
  if (stride <= 1) return points;
  std::vector<std::pair<double, double>> kept;
  for (std::size_t i = (points.size() - 1) % stride; i < points.size(); i += stride)
    kept.push_back(points[i]);  // the last one stays
  return kept;
}

std::vector<std::pair<double, double>> points_of(const Run& run, const Series& series) {
  const auto steps = run.log.find("step"), values = run.log.find(series.column);
  std::vector<std::pair<double, double>> points;
  if (steps == run.log.end() || values == run.log.end()) return points;
  for (std::size_t i = 0; i < steps->second.size(); ++i)
    if (steps->second[i] && values->second[i])
      points.emplace_back(*steps->second[i], series.scale * *values->second[i]);
  return thinned(points);
}

std::vector<Curve> curves_of(const Section& section, const std::vector<Series>& series) {
  std::vector<Curve> curves;
  for (std::size_t c = 0; c < section.configurations.size(); ++c)
    for (const Run* run : section.configurations[c].runs)
      for (std::size_t s = 0; s < series.size(); ++s)
        if (auto points = points_of(*run, series[s]); !points.empty())
          curves.push_back(
              {c, s, run->seed, run->fold, run == section.configurations[c].runs.front(), std::move(points)});
  return curves;
}

std::string data_text(const Section& section, const std::vector<Series>& series, const std::vector<Curve>& curves) {
  std::string text = "# configuration,fold,seed,series,step,value: a block a curve\n";
  for (const Curve& curve : curves) {
    for (const auto& [step, value] : curve.points)
      text += fmt::format("\"{}\",{},{},{},{},{:.6g}\n", section.configurations[curve.configuration].label, curve.fold,
                          curve.seed, series[curve.series].column, step, value);
    text += "\n\n";
  }
  return text;
}

/// A curve of one point is that point.
std::string line_text(const std::string& file, std::size_t index, const Curve& curve, int dash, double width,
                      const std::string& colour) {
  const std::string form = curve.points.size() > 1
                               ? fmt::format("lines dashtype {} linewidth {}", dash, width)
                               : fmt::format("points pointtype {} pointsize 0.4", dash == 1 ? 7 : 6);
  return fmt::format("\"{}\" index {} using 5:6 with {} linecolor rgb \"{}\"", file, index, form, colour);
}

/// The configuration's own curves over the others' first ones of the last series.
std::string panel_text(const std::string& file, const std::vector<Series>& series, const std::vector<Curve>& curves,
                       std::size_t configuration, const std::string& colour, const Theme& theme) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < curves.size(); ++i)
    if (curves[i].configuration != configuration && curves[i].first && curves[i].series + 1 == series.size())
      lines.push_back(line_text(file, i, curves[i], 1, 0.6, "#D5D8DB"));
  for (std::size_t i = 0; i < curves.size(); ++i)
    if (curves[i].configuration == configuration)
      lines.push_back(line_text(file, i, curves[i], series[curves[i].series].dash, theme.line_width, colour));
  std::string text = "plot ";
  for (std::size_t i = 0; i < lines.size(); ++i) text += (i == 0 ? "" : ", \\\n  ") + lines[i];
  return lines.empty() ? "plot NaN\n" : text + "\n";
}

std::string ranges_text(const std::vector<Curve>& curves) {
  double last = 0, low = 1e300, high = -1e300;
  for (const Curve& curve : curves)
    for (const auto& [step, value] : curve.points) {
      last = std::max(last, step);
      low = std::min(low, value);
      high = std::max(high, value);
    }
  const double margin = std::max(0.04 * (high - low), 1e-3);
  return fmt::format("set xrange [0:{:.6g}]\nset yrange [{:.6g}:{:.6g}]\nset xtics {:.6g}\nset ytics {:.6g}\n",
                     std::max(last, 1.0), low - margin, high + margin, round_step(std::max(last, 1.0), 4),
                     round_step(high - low + 2 * margin, 5));
}

Drawing curves(const Section& section, const Theme& theme, const Words& words, const std::vector<Series>& series) {
  const std::string name = section.stem(words.name), file = name + ".csv";
  const std::vector<Curve> all = curves_of(section, series);
  if (all.empty()) return omitted(name, words.title, "no log.csv of a finished run has " + series.front().column);
  std::vector<std::size_t> shown;
  for (const Curve& curve : all)
    if (shown.empty() || shown.back() != curve.configuration) shown.push_back(curve.configuration);
  const std::size_t columns = shown.size() <= 4 ? std::max<std::size_t>(shown.size(), 2) : shown.size() <= 6 ? 3 : 4;
  const std::size_t rows = (shown.size() + columns - 1) / columns;
  const double width = theme.double_column_mm;
  const double panel_width =
      (width - kLeftMm - 2 - kGapMm * static_cast<double>(columns - 1)) / static_cast<double>(columns);
  std::vector<std::string> titles;
  double title_breaks = 0;
  for (const std::size_t configuration : shown) {
    titles.push_back(broken_to(section.configurations[configuration].short_label, panel_width, theme));
    title_breaks = std::max(title_breaks, line_breaks(titles.back()));
  }
  const double pitch = kPanelHeightMm + kTitleMm + line_spacing_mm(theme) * title_breaks,
               height = pitch * static_cast<double>(rows) + kTicsMm;
  std::string body = "set multiplot\n" + ranges_text(all) + "set grid ytics linewidth 0.4 linecolor rgb \"#E9EBED\"\n";
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const std::size_t column = i % columns, row = i / columns;
    const Panel panel{kLeftMm + (panel_width + kGapMm) * static_cast<double>(column),
                      height - pitch * static_cast<double>(row + 1), panel_width, kPanelHeightMm};
    const bool lowest = i + columns >= shown.size();
    body += place_axes(panel, width, height) + "unset label\n";
    const double title_bottom = panel.bottom + panel.height + 2.2;
    body += text_at(titles[i], panel.left + panel.width / 2,
                    title_bottom + line_spacing_mm(theme) * line_breaks(titles[i]), width, height, "center");
    body += lowest ? "set format x \"%g\"\nset xlabel \"Training step\" offset 0,0.6\n"
                   : "set format x \"\"\nunset xlabel\n";
    body += column == 0 ? "set format y \"%g\"\nset ylabel " + quote(words.y_label) + " offset 0.3,0\n"
                        : std::string("set format y \"\"\nunset ylabel\n");
    body += panel_text(file, series, all, shown[i], theme.configuration(section, shown[i]).colour, theme);
  }
  Drawing drawing;
  drawing.figure = {name, words.title, words.caption, "", ""};
  drawing.script = {
      name, width, height, body + "unset multiplot\n", {{file, data_text(section, series, all)}}, run_hashes(section)};
  return drawing;
}

}  // namespace

Drawing loss_curves(const Section& section, const Theme& theme) {
  return curves(section, theme,
                {"learning_loss", "Learning curves: loss",
                 "Solid: training; dashed: validation; every run is a line. Grey: the other configurations' first "
                 "runs, for comparison.",
                 "Loss"},
                {{"train_loss", "training", 1}, {"validation_loss", "validation", 2}});
}

Drawing pseudo_dice_curves(const Section& section, const Theme& theme) {
  return curves(section, theme,
                {"learning_dice", "Learning curves: pseudo-Dice",
                 "Dice over validation patches during training; every run is a line. Grey: the other configurations' "
                 "first runs. Not comparable with the Dice of whole cases.",
                 "Pseudo-Dice (%)"},
                {{"pseudo_dice", "validation", 1, 100}});
}

}  // namespace m3d::reports
