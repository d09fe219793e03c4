// Cost against the patch's voxels, a line an architecture.
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

constexpr double kPlotMm = 56, kBottomMm = 15, kLeftMm = 14, kRightMm = 2, kGapMm = 2;
constexpr double kMarkerMm = 1.5;                               // half a marker's width
constexpr double kStackMm = 3.2;                                // between runs without a value at one patch
const std::vector<int> kFilledMarkers = {7, 5, 9, 13, 11, 15};  // gnuplot's; the hollow ones are one less

/// A quantity that grows with the patch.
struct Cost {
  std::string name, title, axis, caption;
  Quantity measured;
  Quantity foreseen;  // of a run that memory did not suffice for
};

struct Point {
  std::string patch;
  double voxels;
  std::optional<double> value;
  bool out_of_memory;
  double drawn_at;  // the value, or a place at the top edge
};

/// What differs by its patch only.
struct Line {
  std::string label, family, key;
  std::vector<const Configuration*> members;
  Style style;
  std::vector<Point> points;
};

/// Axis values (and, where patches are no axis, settings) other than the patch.
std::string key_of(const Section& section, const Configuration& configuration) {
  const auto& axes = section.varied_axes;
  std::string key = configuration.first().title;
  for (const std::string& axis : axes)
    if (axis != "patch") key += "\n" + configuration.axis_value(axis);
  if (std::find(axes.begin(), axes.end(), "patch") != axes.end()) return key + "\n" + configuration.variant;
  for (const auto& [name, value] : configuration.first().settings)
    if (name != "data.patch" && !name.starts_with("profile.")) key += "\n" + name + "=" + value;
  return key;
}

std::string label_of(const Section& section, const Configuration& configuration) {
  std::string label = configuration.first().title;
  for (const std::string& axis : section.varied_axes)
    if (axis != "patch" && axis != "architecture") label += " · " + configuration.axis_value(axis);
  return label;
}

const Run* profiled_run(const Configuration& configuration) {
  if (configuration.runs.empty() && !configuration.out_of_memory()) return nullptr;
  return configuration.first().profile.patch_voxels ? &configuration.first() : nullptr;
}

/// Lines in the section's order; those of one label are told by their settings.
std::vector<Line> lines_of(const Section& section) {
  std::vector<Line> lines;
  for (const Configuration& configuration : section.configurations) {
    if (profiled_run(configuration) == nullptr) continue;
    const std::string key = key_of(section, configuration);
    auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& other) { return other.key == key; });
    if (line == lines.end()) {
      std::string label = label_of(section, configuration);
      if (std::any_of(lines.begin(), lines.end(), [&](const Line& other) { return other.label == label; }))
        label += " · settings " + configuration.variant;
      line = lines.insert(lines.end(), {label, configuration.first().family, key, {}, {}, {}});
    }
    line->members.push_back(&configuration);
  }
  return lines;
}

bool has_two_patches(const Line& line) {
  std::set<double> voxels;
  for (const Configuration* member : line.members) voxels.insert(*profiled_run(*member)->profile.patch_voxels);
  return voxels.size() > 1;
}

/// The family's colour and marker; the marker is another one where an earlier line has it.
void choose_styles(std::vector<Line>& lines, const Theme& theme) {
  std::vector<std::string> families;
  for (const Line& line : lines) families.push_back(line.family);
  std::vector<int> free = kFilledMarkers;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    lines[i].style = theme.member(families, i);
    if (free.empty()) free = kFilledMarkers;
    const auto own = std::find(free.begin(), free.end(), lines[i].style.marker);
    const auto chosen = own == free.end() ? free.begin() : own;
    lines[i].style.marker = *chosen;
    free.erase(chosen);
  }
}

void set_points(std::vector<Line>& lines, const Cost& cost) {
  for (Line& line : lines) {
    line.points.clear();
    for (const Configuration* member : line.members) {
      const Profile& profile = profiled_run(*member)->profile;
      const bool lost = member->out_of_memory();
      const auto value = lost ? cost.foreseen(member->first()) : summarise(*member, cost.measured).mean;
      const bool drawable = value && *value > 0;
      if (drawable || lost)
        line.points.push_back({profile.patch, *profile.patch_voxels, drawable ? value : std::nullopt, lost, 0});
    }
    std::stable_sort(line.points.begin(), line.points.end(),
                     [](const Point& a, const Point& b) { return a.voxels < b.voxels; });
  }
}

/// Room, axes and what stands in them.
struct Layout {
  LogAxis x, y;
  double width = 0, height = 0;
  Rectangle frame() const { return {x.from_mm, x.to_mm, y.from_mm, y.to_mm}; }
};

/// At one patch the runs without a value stand below each other at the top edge.
std::size_t most_at_top(const std::vector<Line>& lines) {
  std::map<double, std::size_t> counts;
  std::size_t most = 0;
  for (const Line& line : lines)
    for (const Point& point : line.points)
      if (!point.value) most = std::max(most, ++counts[point.voxels]);
  return most;
}

Layout layout_of(const std::vector<Line>& lines, double legend_mm, const Theme& theme) {
  double least_voxels = 1e300, most_voxels = 0, least = 1e300, most = 0;
  for (const Line& line : lines)
    for (const Point& point : line.points) {
      least_voxels = std::min(least_voxels, point.voxels);
      most_voxels = std::max(most_voxels, point.voxels);
      if (!point.value) continue;
      least = std::min(least, *point.value);
      most = std::max(most, *point.value);
    }
  Layout layout;
  layout.width = theme.single_column_mm;
  layout.height = kBottomMm + kPlotMm + kGapMm + legend_mm + 1;
  layout.x = log_axis(least_voxels, most_voxels, kLeftMm, layout.width - kRightMm, 6, 10);
  const double top_margin = 5 + kStackMm * static_cast<double>(most_at_top(lines));
  layout.y = log_axis(least, most, kBottomMm, kBottomMm + kPlotMm, 6, top_margin);
  return layout;
}

void place_points(std::vector<Line>& lines, const Layout& layout) {
  std::map<double, int> at_top;
  for (Line& line : lines)
    for (Point& point : line.points)
      point.drawn_at =
          point.value ? *point.value : layout.y.value(layout.y.to_mm - 2 - kStackMm * at_top[point.voxels]++);
}

/// A line of slope `power` in the plot, from beneath the lowest first point to the frame's edge.
struct Guide {
  std::string label;
  double x, y, end_x, end_y;  // voxels and cost
};

std::vector<Guide> guides_of(const std::vector<Line>& lines, const Layout& layout) {
  double first = 1e300, last = 0, lowest = 1e300;
  for (const Line& line : lines)
    for (const Point& point : line.points) {
      first = std::min(first, point.voxels);
      last = std::max(last, point.voxels);
    }
  for (const Line& line : lines)
    for (const Point& point : line.points)
      if (point.voxels == first && point.value) lowest = std::min(lowest, *point.value);
  if (lowest == 1e300) lowest = layout.y.value(layout.y.from_mm + 6);
  const double start = layout.y.value(std::max(layout.y.mm(lowest) - 3, layout.y.from_mm + 1));
  std::vector<Guide> guides;
  for (const auto& [label, power] : {std::pair("linear", 1.0), std::pair("quadratic", 2.0)}) {
    const double reach = std::min(last, first * std::pow(layout.y.range.high / start, 1 / power));
    guides.push_back({label, first, start, reach, start * std::pow(reach / first, power)});
  }
  return guides;
}

/// The picture's markers and lines as boxes that labels keep away from.
std::vector<Rectangle> obstacles_of(const std::vector<Line>& lines, const std::vector<Guide>& guides,
                                    const Layout& layout) {
  std::vector<Rectangle> obstacles;
  const auto add = [&](double x, double y, double half) {
    obstacles.push_back({x - half, x + half, y - half, y + half});
  };
  const auto add_line = [&](double from_x, double from_y, double to_x, double to_y) {
    for (double share = 0.02; share < 1; share += 0.02)
      add(std::lerp(layout.x.mm(from_x), layout.x.mm(to_x), share),
          std::lerp(layout.y.mm(from_y), layout.y.mm(to_y), share), 0.4);
  };
  for (const Guide& guide : guides) add_line(guide.x, guide.y, guide.end_x, guide.end_y);
  for (const Line& line : lines)
    for (std::size_t i = 0; i < line.points.size(); ++i) {
      const Point& point = line.points[i];
      add(layout.x.mm(point.voxels), layout.y.mm(point.drawn_at), kMarkerMm);
      if (i > 0 && !point.out_of_memory)
        add_line(line.points[i - 1].voxels, line.points[i - 1].drawn_at, point.voxels, point.drawn_at);
    }
  return obstacles;
}

std::string guides_text(const std::vector<Guide>& guides, const Theme& theme) {
  std::string text;
  for (const Guide& guide : guides)
    text += fmt::format(
        "set arrow from first {:.6g},{:.6g} to first {:.6g},{:.6g} nohead dashtype 3 linewidth 0.8 linecolor rgb "
        "\"{}\" back\n",
        guide.x, guide.y, guide.end_x, guide.end_y, theme.grey);
  return text;
}

/// "OOM" beside every hollow marker, and the guides' names at their ends.
std::string labels_text(const std::vector<Line>& lines, const std::vector<Guide>& guides, const Layout& layout,
                        const Theme& theme) {
  std::vector<LabelledDisc> discs;
  std::vector<std::pair<std::string, std::string>> labels;  // text, colour
  const auto add = [&](const std::string& label, double x, double y, double radius, const std::string& colour) {
    discs.push_back({x, y, radius, text_width_mm(label, theme), text_height_mm(theme)});
    labels.emplace_back(label, colour);
  };
  for (const Line& line : lines)
    for (const Point& point : line.points)
      if (point.out_of_memory)
        add("OOM", layout.x.mm(point.voxels), layout.y.mm(point.drawn_at), kMarkerMm, line.style.colour);
  for (const Guide& guide : guides) add(guide.label, layout.x.mm(guide.end_x), layout.y.mm(guide.end_y), 0, theme.grey);
  const std::vector<LabelPosition> places = place_labels(discs, layout.frame(), obstacles_of(lines, guides, layout));
  std::string text;
  for (std::size_t i = 0; i < labels.size(); ++i)
    text += text_at(labels[i].first, places[i].x, places[i].y, layout.width, layout.height,
                    "center textcolor rgb \"" + labels[i].second + "\"");
  return text;
}

/// "64³" for "64×64×64"; other patches as they are.
std::string short_name(const std::string& patch) {
  static const std::string times = "×";
  const std::string edge = patch.substr(0, patch.find(times));
  return patch == edge + times + edge + times + edge ? edge + "³" : patch;
}

/// The patches themselves, as far as their names have room.
std::string patch_ticks(const std::vector<Line>& lines, const Layout& layout, const Theme& theme) {
  std::map<double, std::string> patches;
  for (const Line& line : lines)
    for (const Point& point : line.points) patches.try_emplace(point.voxels, point.patch);
  std::string ticks;
  double taken = -1e300;
  for (const auto& [voxels, patch] : patches) {
    const std::string name = short_name(patch), size = fmt::format("{:.3g} M", voxels * 1e-6);
    const double x = layout.x.mm(voxels);
    const double half = 0.5 * std::max(text_width_mm(name, theme), text_width_mm(size, theme));
    const bool room = x - half > taken;
    if (room) taken = x + half + 1;
    const std::string label = room ? name + "\n" + size : "";
    ticks += fmt::format("{}{} {:.10g}", ticks.empty() ? "" : ", ", quote(label), voxels);
  }
  return "set xtics (" + ticks + ")\n";
}

std::string axes_text(const std::vector<Line>& lines, const Layout& layout, const Cost& cost, const Theme& theme) {
  const Panel panel{kLeftMm, kBottomMm, layout.x.to_mm - layout.x.from_mm, kPlotMm};
  return place_axes(panel, layout.width, layout.height) +
         fmt::format("set logscale xy\nset xrange [{:.6g}:{:.6g}]\nset yrange [{:.6g}:{:.6g}]\n", layout.x.range.low,
                     layout.x.range.high, layout.y.range.low, layout.y.range.high) +
         patch_ticks(lines, layout, theme) + "set ytics " + log_ticks(layout.y.range) +
         "\nset grid ytics linewidth 0.4 linecolor rgb \"#E4E4E4\"\nset xlabel \"Patch (voxels)\" offset 0,-0.4\n" +
         "set ylabel " + quote(cost.axis) + " offset 0.8,0\n";
}

std::string data_text(const std::vector<Line>& lines, const Cost& cost) {
  std::string text = "# line,patch,voxels," + cost.axis + ",status,drawn_at: a block a line\n";
  for (const Line& line : lines) {
    for (const Point& point : line.points)
      text += fmt::format("{},{},{:.10g},{},{},{:.6g}\n", quote(line.label), point.patch, point.voxels,
                          point.value ? fmt::format("{:.6g}", *point.value) : "", point.out_of_memory ? "oom" : "ok",
                          point.drawn_at);
    text += "\n\n";
  }
  return text;
}

std::string plot_text(const std::string& file, const std::vector<Line>& lines, const Theme& theme) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Style& style = lines[i].style;
    text += fmt::format(
        "{}\"{}\" index {} using 3:(strcol(5) eq \"ok\" ? $6 : NaN) with linespoints linewidth {} pointtype {} "
        "pointsize 0.6 linecolor rgb \"{}\"",
        i == 0 ? "plot " : ", \\\n  ", file, i, theme.line_width, style.marker, style.colour);
    text += fmt::format(
        ", \\\n  \"{}\" index {} using 3:(strcol(5) eq \"oom\" ? $6 : NaN) with points pointtype {} pointsize 0.7 "
        "linewidth 1 linecolor rgb \"{}\"",
        file, i, style.marker - 1, style.colour);
  }
  return text + "\n";
}

Drawing curve(const Section& section, std::vector<Line> lines, const Cost& cost, const Theme& theme) {
  const std::string name = section.stem(cost.name);
  set_points(lines, cost);
  std::erase_if(lines, [](const Line& line) { return line.points.empty(); });
  const bool measured = std::any_of(lines.begin(), lines.end(), [](const Line& line) {
    return std::any_of(line.points.begin(), line.points.end(), [](const Point& point) { return point.value; });
  });
  if (!measured) return omitted(name, cost.title, "no run has measured it");
  std::vector<LegendEntry> entries;
  for (const Line& line : lines) entries.push_back({line.label, line.style.colour, line.style.marker});
  const Legend legend(entries, theme.single_column_mm - kLeftMm - kRightMm, theme);
  const Layout layout = layout_of(lines, legend.height_mm(), theme);
  place_points(lines, layout);
  const std::vector<Guide> guides = guides_of(lines, layout);
  Drawing drawing;
  drawing.figure = {name, cost.title, cost.caption, "", ""};
  drawing.script = {
      name, layout.width, layout.height, "", {{name + ".csv", data_text(lines, cost)}}, run_hashes(section)};
  drawing.script.body =
      axes_text(lines, layout, cost, theme) + guides_text(guides, theme) + labels_text(lines, guides, layout, theme) +
      legend.draw(kLeftMm, layout.height - 1, layout.width, layout.height) + plot_text(name + ".csv", lines, theme);
  return drawing;
}

Quantity scaled(std::optional<double> (*quantity)(const Profile&), double scale) {
  return [=](const Run& run) {
    const std::optional<double> value = quantity(run.profile);
    return value ? std::optional(*value * scale) : std::nullopt;
  };
}

std::vector<Cost> costs() {
  const std::string words =
      "A line an architecture, colour by family, both axes logarithmic; dotted: linear and "
      "quadratic growth. Means over runs; hollow: memory did not suffice, ";
  const auto none = [](const Run&) { return std::optional<double>(); };
  const Quantity macs = scaled([](const Profile& profile) { return profile.macs; }, 1e-9);
  return {
      {"efficiency_time", "Training time against the patch", "Training (s per patch)",
       words + "so that there is no time (drawn at the top edge).",
       scaled([](const Profile& profile) { return profile.training_seconds_a_patch(); }, 1), none},
      {"efficiency_memory", "Peak memory against the patch", "Peak memory (GiB)",
       words +
           "drawn at the need that was predicted for the tensors of a training step. Memory of the process (CPU) or "
           "of the allocator (GPU) in training; of the tensors alone where that was not measured.",
       scaled([](const Profile& profile) { return profile.memory_bytes(); }, 1 / kGibibyte),
       scaled([](const Profile& profile) { return profile.predicted_tensor_bytes; }, 1 / kGibibyte)},
      {"efficiency_macs", "MACs against the patch", "GMACs per patch, scan included", words + "MACs are counted.", macs,
       macs}};
}

}  // namespace

std::vector<Drawing> efficiency_curves(const Section& section, const Theme& theme) {
  std::vector<Line> lines = lines_of(section);
  if (std::none_of(lines.begin(), lines.end(), has_two_patches)) return {};
  choose_styles(lines, theme);
  std::vector<Drawing> drawings;
  for (const Cost& cost : costs()) drawings.push_back(curve(section, lines, cost, theme));
  return drawings;
}

}  // namespace m3d::reports
