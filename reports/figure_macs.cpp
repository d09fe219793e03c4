// Dice against MACs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "reports/axis_ticks.h"
#include "reports/figures.h"
#include "reports/label_placement.h"
#include "reports/layout.h"
#include "reports/table.h"

namespace m3d::reports {
namespace {

// More bubbles than these, and wider labels, need a page's width.
constexpr std::size_t kMostInAColumn = 8;
constexpr double kWidestInAColumnMm = 30;

constexpr double kLargestRadiusMm = 3.6;

struct Bubble {
  std::string label, family;
  double macs, dice, parameters;  // G, %, M
  std::optional<double> spread;
  bool pareto = false;
};

std::vector<Bubble> bubbles_of(const Section& section) {
  std::vector<Bubble> bubbles;
  for (const Configuration& configuration : section.configurations) {
    const Summary macs = summarise(configuration, [](const Run& run) { return run.profile.macs; });
    const Summary dice = summarise(configuration, [](const Run& run) { return run.mean.dice; });
    const Summary parameters = summarise(configuration, [](const Run& run) { return run.profile.parameters; });
    if (!macs.mean || !dice.mean || !parameters.mean || *macs.mean <= 0) continue;
    Bubble bubble{configuration.short_label, configuration.first().family, *macs.mean * 1e-9,
                  *dice.mean * 100,          *parameters.mean * 1e-6,      {}};
    if (dice.deviation) bubble.spread = *dice.deviation * 100;
    bubbles.push_back(bubble);
  }
  return bubbles;
}

/// Marks the bubbles that no other beats in both quantities.
void mark_pareto(std::vector<Bubble>& bubbles) {
  for (Bubble& bubble : bubbles)
    bubble.pareto = std::none_of(bubbles.begin(), bubbles.end(), [&](const Bubble& other) {
      return other.macs <= bubble.macs && other.dice >= bubble.dice &&
             (other.macs < bubble.macs || other.dice > bubble.dice);
    });
}

std::vector<Bubble> pareto_front(std::vector<Bubble> bubbles) {
  std::erase_if(bubbles, [](const Bubble& bubble) { return !bubble.pareto; });
  std::sort(bubbles.begin(), bubbles.end(), [](auto& a, auto& b) { return a.macs < b.macs; });
  return bubbles;
}

/// The logarithmic range around the MACs: at least a factor of 1.5, with room for bubbles and labels.
AxisRange macs_range(const std::vector<Bubble>& bubbles) {
  const auto [low, high] =
      std::minmax_element(bubbles.begin(), bubbles.end(), [](auto& a, auto& b) { return a.macs < b.macs; });
  const double span = std::max(std::log(high->macs / low->macs), std::log(1.5)),
               middle = 0.5 * std::log(high->macs * low->macs);
  return {std::exp(middle - 0.72 * span), std::exp(middle + 0.72 * span)};
}

AxisRange dice_range(const std::vector<Bubble>& bubbles) {
  double low = 1e300, high = -1e300;
  for (const Bubble& bubble : bubbles) {
    low = std::min(low, bubble.dice - bubble.spread.value_or(0));
    high = std::max(high, bubble.dice + bubble.spread.value_or(0));
  }
  const double span = std::max(high - low, 1.0), middle = 0.5 * (low + high);
  return {middle - 0.66 * span, middle + 0.66 * span};
}

bool fits_a_column(const std::vector<Bubble>& bubbles, const Theme& theme) {
  return bubbles.size() <= kMostInAColumn && std::all_of(bubbles.begin(), bubbles.end(), [&](const Bubble& bubble) {
           return text_width_mm(bubble.label, theme) <= kWidestInAColumnMm;
         });
}

/// Values as millimetres of a picture.
struct Scale {
  Scale(const std::vector<Bubble>& bubbles, const Theme& theme)
      : macs(macs_range(bubbles)),
        dice(dice_range(bubbles)),
        width(fits_a_column(bubbles, theme) ? theme.single_column_mm : theme.double_column_mm),
        height(width == theme.single_column_mm ? 78 : 98),
        frame{12, width - 2, 12, height - 7} {}
  double x(double value) const { return LogAxis{macs, frame.left, frame.right}.mm(value); }
  double y(double value) const {
    return frame.bottom + (frame.top - frame.bottom) * (value - dice.low) / (dice.high - dice.low);
  }

  AxisRange macs, dice;
  double width, height;  // of the picture
  Rectangle frame;       // the axes
};

double radius_mm(double parameters, double largest) { return kLargestRadiusMm * std::sqrt(parameters / largest); }

/// gnuplot's size 1 is a radius of 0.375 font sizes, and its disc has an outline of 0.133 radii besides.
double point_size(double radius, const Theme& theme) { return radius / (1.133 * 0.375 * text_height_mm(theme)); }

/// Error bars and the Pareto front, as boxes that labels keep away from.
std::vector<Rectangle> obstacles_of(const std::vector<Bubble>& bubbles, const Scale& scale) {
  std::vector<Rectangle> obstacles;
  for (const Bubble& bubble : bubbles) {
    const double x = scale.x(bubble.macs), spread = bubble.spread.value_or(0);
    obstacles.push_back({x - 1, x + 1, scale.y(bubble.dice - spread), scale.y(bubble.dice + spread)});
  }
  const std::vector<Bubble> front = pareto_front(bubbles);
  for (std::size_t i = 1; i < front.size(); ++i)
    for (double share = 0; share <= 1; share += 0.02) {
      const double x = std::lerp(scale.x(front[i - 1].macs), scale.x(front[i].macs), share);
      const double y = std::lerp(scale.y(front[i - 1].dice), scale.y(front[i].dice), share);
      obstacles.push_back({x - 0.4, x + 0.4, y - 0.4, y + 0.4});
    }
  return obstacles;
}

std::vector<LabelPosition> label_positions(const std::vector<Bubble>& bubbles, const Scale& scale, double largest,
                                           const Theme& theme) {
  std::vector<LabelledDisc> discs;
  const double height = text_height_mm(theme);
  for (const Bubble& bubble : bubbles)
    discs.push_back({scale.x(bubble.macs), scale.y(bubble.dice), radius_mm(bubble.parameters, largest),
                     text_width_mm(bubble.label, theme), height});
  return place_labels(discs, scale.frame, obstacles_of(bubbles, scale));
}

std::string labels_text(const std::vector<Bubble>& bubbles, const Scale& scale, double largest, const Theme& theme) {
  const std::vector<LabelPosition> places = label_positions(bubbles, scale, largest, theme);
  std::string text;
  for (std::size_t i = 0; i < bubbles.size(); ++i) {
    const double x = places[i].x / scale.width, y = places[i].y / scale.height;
    text += fmt::format("set label {} at screen {:.4f},{:.4f} center front\n", quote(bubbles[i].label), x, y);
    if (!places[i].far) continue;
    text += fmt::format(
        "set arrow from screen {:.4f},{:.4f} to first {:.6g},{:.6g} nohead linewidth 0.5 linecolor rgb \"{}\" back\n",
        places[i].line_x / scale.width, places[i].line_y / scale.height, bubbles[i].macs, bubbles[i].dice, theme.grey);
  }
  return text;
}

std::string data_text(const std::vector<Bubble>& bubbles, const std::vector<std::string>& families, double largest,
                      const Theme& theme) {
  std::string text =
      "family_index,configuration,family,gmacs,dice_percent,dice_spread,parameters_millions,point_size,pareto\n";
  for (const Bubble& bubble : bubbles) {
    const auto family = std::find(families.begin(), families.end(), bubble.family) - families.begin();
    text +=
        fmt::format("{},{},{},{},{},{},{},{:.4f},{}\n", family, escape_csv(bubble.label), escape_csv(bubble.family),
                    bubble.macs, bubble.dice, bubble.spread ? fmt::format("{}", *bubble.spread) : "", bubble.parameters,
                    point_size(radius_mm(bubble.parameters, largest), theme), bubble.pareto ? 1 : 0);
  }
  return text;
}

std::string pareto_text(const std::vector<Bubble>& bubbles) {
  std::string text = "gmacs,dice_percent\n";
  for (const Bubble& bubble : pareto_front(bubbles)) text += fmt::format("{},{}\n", bubble.macs, bubble.dice);
  return text;
}

std::string axes_text(const Scale& scale) {
  const auto& [left, right, bottom, top] = scale.frame;
  std::string text = place_axes({left, bottom, right - left, top - bottom}, scale.width, scale.height);
  text += fmt::format("set logscale x\nset xrange [{:.6g}:{:.6g}]\nset yrange [{:.6g}:{:.6g}]\n", scale.macs.low,
                      scale.macs.high, scale.dice.low, scale.dice.high);
  text += "set xtics " + log_ticks(scale.macs) + "\nset grid ytics linewidth 0.4 linecolor rgb \"#E4E4E4\"\n";
  return text +
         "set xlabel \"GMACs per patch, scan included\" offset 0,0.4\nset ylabel \"Mean Dice (%)\" offset 1.4,0\n";
}

std::string plot_text(const std::string& file, const std::string& pareto, const std::vector<std::string>& families,
                      bool spreads, const Theme& theme) {
  std::string text =
      fmt::format("plot \"{}\" using 1:2 with lines dashtype 2 linewidth 1 linecolor rgb \"{}\"", pareto, theme.grey);
  for (std::size_t i = 0; i < families.size(); ++i) {
    const Style style = theme.family(families[i]);
    const std::string select = fmt::format("(column(1)=={} ? column(4) : NaN)", i);
    text +=
        fmt::format(", \\\n  \"{}\" using {}:5:8 with points pointtype 7 pointsize variable linecolor rgb \"#80{}\"",
                    file, select, style.colour.substr(1));
    if (spreads)
      text += fmt::format(", \\\n  \"{}\" using {}:5:6 with yerrorbars pointtype 0 linewidth 0.8 linecolor rgb \"{}\" ",
                          file, select, style.colour);
    text += fmt::format(", \\\n  \"{}\" using {}:5 with points pointtype {} pointsize 0.55 linecolor rgb \"{}\"", file,
                        select, style.marker, style.colour);
  }
  return text + "\n";
}

}  // namespace

Drawing dice_against_macs(const Section& section, const Theme& theme) {
  const std::string name = section.stem("dice_vs_macs"), title = "Dice against MACs";
  std::vector<Bubble> bubbles = bubbles_of(section);
  if (bubbles.empty()) return omitted(name, title, "no finished run has Dice, MACs and parameters");
  mark_pareto(bubbles);
  const Scale scale(bubbles, theme);
  std::vector<std::string> families;
  double largest = 0;
  bool spreads = false;
  for (const Bubble& bubble : bubbles) {
    if (std::find(families.begin(), families.end(), bubble.family) == families.end()) families.push_back(bubble.family);
    largest = std::max(largest, bubble.parameters);
    spreads |= bubble.spread.has_value();
  }
  std::vector<LegendEntry> entries;
  for (const std::string& family : families)
    entries.push_back({family.empty() ? "other" : family, theme.family(family).colour, theme.family(family).marker});
  const Legend legend(entries, scale.frame.right - scale.frame.left, theme);
  Drawing drawing;
  drawing.figure = {
      name, title,
      fmt::format(
          "Bubble area by parameters (largest: {} M); dashed: Pareto front; colour and marker: architecture family{}.",
          fixed(largest, 2), spreads ? "; bars: one sample standard deviation over runs" : ""),
      "", ""};
  drawing.script = {name, scale.width, scale.height, "", {}, run_hashes(section)};
  drawing.script.data[name + ".csv"] = data_text(bubbles, families, largest, theme);
  drawing.script.data[name + "_pareto.csv"] = pareto_text(bubbles);
  drawing.script.body = axes_text(scale) + labels_text(bubbles, scale, largest, theme) +
                        legend.draw(scale.frame.left, scale.height - 1, scale.width, scale.height) +
                        plot_text(name + ".csv", name + "_pareto.csv", families, spreads, theme);
  return drawing;
}

}  // namespace m3d::reports
