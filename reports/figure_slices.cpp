// Image, reference and predictions of a case in three planes through one voxel.
#include <fmt/format.h>

#include <algorithm>

#include "reports/qualitative_case.h"
#include "reports/slices.h"
#include "reports/table.h"

namespace m3d::reports {
namespace {

constexpr double kColumnPixels = 190;
constexpr std::size_t kGapPixels = 6;

SliceView view_of(const QualitativeCase& shown) {
  SliceView view;
  view.image = &shown.image;
  view.window = window_of(shown.image, shown.channel == "CT");
  view.voxel = richest_voxel(shown.reference());
  view.region = region_around(shown.reference());
  for (const Structure& structure : shown.structures) view.colours[structure.value] = structure.colour;
  const auto& spacing = shown.reference().geometry.spacing_mm;
  double widest = 0;
  for (const std::size_t axis : {1, 2})
    widest = std::max(widest, static_cast<double>(view.region.end[axis] - view.region.begin[axis]) * spacing[axis]);
  view.pixels_per_mm = kColumnPixels / widest;
  return view;
}

/// A row a plane, a column the image or a label map.
std::vector<std::vector<Raster>> panels_of(const SliceView& view, const QualitativeCase& shown) {
  std::vector<std::vector<Raster>> rows;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    rows.push_back({draw_slice(view, nullptr, axis)});
    for (const TitledLabels& column : shown.columns) rows.back().push_back(draw_slice(view, &column.labels, axis));
  }
  return rows;
}

std::string data_text(const QualitativeCase& shown, const std::vector<std::string>& titles, const Shape3& voxel) {
  std::string text = "rule,case,column,dice_percent,voxel_z,voxel_y,voxel_x\n";
  for (const std::string& title : titles)
    text += fmt::format("{},{},{},{},{},{},{}\n", shown.choice.rule, escape_csv(shown.choice.case_id),
                        escape_csv(title), dice_text(shown, title), voxel[0], voxel[1], voxel[2]);
  return text;
}

}  // namespace

Drawing case_slices(const QualitativeCase& shown, const std::string& name, const Theme& theme,
                    const std::filesystem::path& folder) {
  const SliceView view = view_of(shown);
  std::vector<std::string> titles = {"image"};
  for (const TitledLabels& column : shown.columns) titles.push_back(column.title);
  Drawing drawing = panels_drawing(shown, name, {titles, remarks_of(shown, titles), panels_of(view, shown), kGapPixels},
                                   theme, folder);
  drawing.script.data[name + ".csv"] = data_text(shown, titles, view.voxel);
  drawing.figure.title = slices_title(shown.choice);
  drawing.figure.caption = fmt::format(
      "{} Axial, coronal and sagittal plane through voxel [{}, {}, {}], cropped around the reference; "
      "channel {}. Filled and outlined: structures; numbers: mean Dice of the case over a "
      "configuration's runs; shown: its first run.",
      shown.words(), view.voxel[0], view.voxel[1], view.voxel[2], shown.channel);
  return drawing;
}

}  // namespace m3d::reports
