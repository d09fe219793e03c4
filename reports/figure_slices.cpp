// Image, reference and predictions of the baseline's best, median and worst case.
#include <fmt/format.h>

#include <algorithm>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/dataset.h"
#include "reports/figures.h"
#include "reports/layout.h"
#include "reports/slices.h"
#include "reports/table.h"

namespace m3d::reports {
namespace fs = std::filesystem;
namespace {

constexpr double kColumnPixels = 190;
constexpr std::size_t kGapPixels = 6;
constexpr double kSideMm = 1, kWidestColumnMm = 32, kLineMm = 3.4;

struct Choice {
  std::string rule, case_id;
  double dice;  // of the baseline
};

/// Best, median and worst case of the baseline; fewer where it has fewer cases. Equal Dice: by case id.
std::vector<Choice> choices_of(const Configuration& baseline) {
  std::vector<std::pair<double, std::string>> ranked;
  for (const auto& [id, dice] : case_dice(baseline)) ranked.emplace_back(dice, id);
  std::sort(ranked.begin(), ranked.end());
  if (ranked.empty()) return {};
  const auto choice = [&](const std::string& rule, std::size_t i) {
    return Choice{rule, ranked[i].second, ranked[i].first};
  };
  std::vector<Choice> choices = {choice("best", ranked.size() - 1)};
  if (ranked.size() > 2) choices.push_back(choice("median", (ranked.size() - 1) / 2));
  if (ranked.size() > 1) choices.push_back(choice("worst", 0));
  return choices;
}

/// A column of panels: the image, the reference, or a configuration's prediction.
struct Labelled {
  std::string title;
  std::optional<LabelImage> labels;
};

std::vector<Labelled> columns_of(const Section& section, const LoadedCase& loaded) {
  std::vector<Labelled> columns = {{"image", {}}, {"reference", loaded.labels}};
  for (const Configuration& configuration : section.configurations) {
    for (const Run* run : configuration.runs) {
      const fs::path file = run->folder / "predictions" / (loaded.id + ".nii.gz");
      if (!fs::exists(file)) continue;
      LabelImage prediction = read_labels(file);
      if (prediction.shape() != loaded.labels.shape())
        throw UserError(file.string() + " does not have its case's shape");
      columns.push_back({configuration.short_label, std::move(prediction)});
      break;
    }
  }
  return columns;
}

/// A label value is named after the smallest structure that holds it (a region's core rather than the whole).
std::map<int, std::string> value_names(const Dataset& dataset) {
  std::map<int, std::pair<std::size_t, std::string>> smallest;
  for (const LabelClass& structure : dataset.classes)
    for (const int value : structure.values) {
      const auto [place, fresh] = smallest.try_emplace(value, structure.values.size(), structure.name);
      if (!fresh && structure.values.size() < place->second.first)
        place->second = {structure.values.size(), structure.name};
    }
  std::map<int, std::string> names;
  for (const auto& [value, entry] : smallest) names[value] = entry.second;
  return names;
}

SliceView view_of(const LoadedCase& loaded, const Dataset& dataset, const Theme& theme) {
  SliceView view;
  view.image = &loaded.channels.front();
  view.window =
      window_of(loaded.channels.front(), !dataset.channel_names.empty() && dataset.channel_names.front() == "CT");
  view.voxel = richest_voxel(loaded.labels);
  view.region = region_around(loaded.labels);
  std::size_t next = 0;
  for (const auto& [value, name] : value_names(dataset))
    view.colours[value] = parse_colour(theme.structures[next++ % theme.structures.size()]);
  const auto& spacing = loaded.labels.geometry.spacing_mm;
  double widest = 0;
  for (const std::size_t axis : {1, 2})
    widest = std::max(widest, static_cast<double>(view.region.end[axis] - view.region.begin[axis]) * spacing[axis]);
  view.pixels_per_mm = kColumnPixels / widest;
  return view;
}

void paste(Raster& canvas, const Raster& part, std::size_t left, std::size_t top) {
  for (std::size_t y = 0; y < part.height; ++y)
    for (std::size_t x = 0; x < part.width; ++x) canvas.at(left + x, top + y) = part.at(x, y);
}

/// All panels in one raster: a row a plane, a column an image or label map.
Raster compose(const SliceView& view, const std::vector<Labelled>& columns) {
  const auto cell = static_cast<std::size_t>(kColumnPixels) + 1;
  std::size_t height = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) height += slice_size(view, axis)[1] + (axis == 0 ? 0 : kGapPixels);
  Raster canvas(columns.size() * (cell + kGapPixels) - kGapPixels, height, {255, 255, 255});
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::size_t top = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const Raster slice = draw_slice(view, columns[c].labels ? &*columns[c].labels : nullptr, axis);
      paste(canvas, slice, c * (cell + kGapPixels) + (cell - slice.width) / 2, top);
      top += slice.height + kGapPixels;
    }
  }
  return canvas;
}

std::map<std::string, double> dice_by_label(const Section& section, const std::string& case_id) {
  std::map<std::string, double> dice;
  for (const Configuration& configuration : section.configurations) {
    const auto cases = case_dice(configuration);
    if (const auto found = cases.find(case_id); found != cases.end())
      dice[configuration.short_label] = 100 * found->second;
  }
  return dice;
}

std::string data_text(const Choice& choice, const std::vector<Labelled>& columns,
                      const std::map<std::string, double>& dice, const Shape3& voxel) {
  std::string text = "rule,case,column,dice_percent,voxel_z,voxel_y,voxel_x\n";
  for (const Labelled& column : columns) {
    const auto found = dice.find(column.title);
    text += fmt::format("{},{},{},{},{},{},{}\n", choice.rule, escape_csv(choice.case_id), escape_csv(column.title),
                        found == dice.end() ? "" : fixed(found->second, 4), voxel[0], voxel[1], voxel[2]);
  }
  return text;
}

Legend legend_of(const SliceView& view, const Dataset& dataset, double width, const Theme& theme) {
  std::vector<LegendEntry> entries;
  for (const auto& [value, name] : value_names(dataset)) entries.push_back({name, to_text(view.colours.at(value)), 0});
  return Legend(std::move(entries), width, theme);
}

/// A column's heading: its name on one or more lines and, for a prediction, the Dice of the case.
std::vector<std::string> headings_of(const std::vector<Labelled>& columns, const std::map<std::string, double>& dice,
                                     const Theme& theme) {
  const double column_mm = std::min(theme.double_column_mm / static_cast<double>(columns.size()), kWidestColumnMm);
  std::vector<std::string> headings;
  for (const Labelled& column : columns) {
    const auto found = dice.find(column.title);
    headings.push_back(broken_to(column.title, column_mm, theme) +
                       (found == dice.end() ? "" : "\n" + fixed(found->second, 1) + " %"));
  }
  return headings;
}

double line_breaks(const std::string& text) { return static_cast<double>(std::count(text.begin(), text.end(), '\n')); }

FigureScript script_of(const std::string& name, const Raster& raster, const std::vector<std::string>& headings,
                       const Legend& legend, const Theme& theme) {
  double most_breaks = 0;
  for (const std::string& heading : headings) most_breaks = std::max(most_breaks, line_breaks(heading));
  const double width = theme.double_column_mm, columns = static_cast<double>(headings.size());
  const double image_width = std::min(width - 2 * kSideMm, kWidestColumnMm * columns);
  const double image_height = image_width * static_cast<double>(raster.height) / static_cast<double>(raster.width);
  const double height = image_height + kLineMm * (most_breaks + 1.4) + legend.height_mm() + 3;
  const Panel panel{(width - image_width) / 2, legend.height_mm() + 2, image_width, image_height};
  std::string body = place_axes(panel, width, height) + "unset border\nunset tics\n";
  body += fmt::format("set xrange [-0.5:{}]\nset yrange [-0.5:{}]\n", static_cast<double>(raster.width) - 0.5,
                      static_cast<double>(raster.height) - 0.5);
  for (std::size_t c = 0; c < headings.size(); ++c) {
    const double x = panel.left + image_width * (static_cast<double>(c) + 0.5) / columns;
    const double y = panel.bottom + image_height + 2.2 + kLineMm * line_breaks(headings[c]);
    body += text_at(headings[c], x, y, width, height, "center");
  }
  body += legend.draw(panel.left, legend.height_mm() + 0.5, width, height);
  body += fmt::format("plot \"{}_panels.png\" binary filetype=png with rgbimage\n", name);
  return {name, width, height, body, {}, ""};
}

Drawing slices_of(const Section& section, const Dataset& dataset, const Choice& choice, const Theme& theme,
                  const fs::path& folder) {
  const std::string name = section.stem("slices_" + choice.rule),
                    title = "Slices: the baseline's " + choice.rule + " case";
  const auto files = std::find_if(dataset.training.begin(), dataset.training.end(),
                                  [&](const CaseFiles& entry) { return entry.id == choice.case_id; });
  if (files == dataset.training.end()) return omitted(name, title, "the dataset has no case " + choice.case_id);
  const LoadedCase loaded = load_case(dataset, *files);
  const std::vector<Labelled> columns = columns_of(section, loaded);
  if (columns.size() == 2) return omitted(name, title, "no run kept a prediction of " + choice.case_id);
  const SliceView view = view_of(loaded, dataset, theme);
  const auto dice = dice_by_label(section, choice.case_id);
  const Raster raster = compose(view, columns);
  fs::create_directories(folder);
  write_atomically(folder / (name + "_panels.png"), to_png(raster));
  Drawing drawing;
  drawing.script = script_of(name, raster, headings_of(columns, dice, theme),
                             legend_of(view, dataset, theme.double_column_mm - 2 * kSideMm, theme), theme);
  drawing.script.data[name + ".csv"] = data_text(choice, columns, dice, view.voxel);
  drawing.script.description = run_hashes(section);
  drawing.figure = {
      name, title,
      fmt::format("Case {}: mean Dice {} % for the baseline ({}). Axial, coronal and sagittal plane through voxel [{}, "
                  "{}, {}], cropped around the reference; "
                  "channel {}. Filled and outlined: structures; numbers: mean Dice of the case over a "
                  "configuration's runs; shown: its first run.",
                  choice.case_id, fixed(100 * choice.dice, 1), section.configurations.front().label, view.voxel[0],
                  view.voxel[1], view.voxel[2], dataset.channel_names.empty() ? "0" : dataset.channel_names.front()),
      "", ""};
  return drawing;
}

/// The first configuration that has a finished run.
const Configuration* baseline_of(const Section& section) {
  for (const Configuration& configuration : section.configurations)
    if (!configuration.runs.empty()) return &configuration;
  return nullptr;
}

}  // namespace

std::vector<Drawing> qualitative_slices(const Section& section, const Theme& theme, const fs::path& folder) {
  const auto none = [&](const std::string& reason) {
    return std::vector{omitted(section.stem("slices"), "Slices", reason)};
  };
  const Configuration* baseline = baseline_of(section);
  if (baseline == nullptr) return none("no run has finished");
  const fs::path& place = baseline->runs.front()->dataset_folder;
  if (place.empty()) return none("config.yaml of the baseline names no dataset_folder");
  if (!fs::exists(place)) return none("the dataset is not at " + place.string() + " any more");
  try {
    const Dataset dataset = open_dataset(place.string(), {});
    std::vector<Drawing> drawings;
    for (const Choice& choice : choices_of(*baseline))
      drawings.push_back(slices_of(section, dataset, choice, theme, folder));
    return drawings.empty() ? none("the baseline has no per_case entries") : drawings;
  } catch (const UserError& failure) {
    return none(failure.what());
  }
}

}  // namespace m3d::reports
