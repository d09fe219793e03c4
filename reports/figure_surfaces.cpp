// Reference and predictions of a case as surfaces.
#include <fmt/format.h>

#include <algorithm>

#include "reports/qualitative_case.h"
#include "reports/surfaces.h"
#include "reports/table.h"

namespace m3d::reports {
namespace {

constexpr double kColumnPixels = 300;
constexpr std::size_t kGapPixels = 10;
constexpr std::int64_t kMostVoxels = 192 * 192 * 128;  // of a panel; finer voxels would fall within its pixels

Scene scene_of(const LabelImage& labels, const std::vector<Structure>& structures) {
  const LabelImage thin = thinned(labels, kMostVoxels);
  Scene scene;
  for (const Structure& structure : structures) {
    Surface surface = label_surface(thin, structure.value);
    smooth(surface);
    scene.push_back({std::move(surface), structure.colour});
  }
  return scene;
}

std::string data_text(const QualitativeCase& shown, const std::vector<Scene>& scenes) {
  std::string text = "rule,case,column,dice_percent,structure,triangles,surface_cm2,volume_ml\n";
  for (std::size_t c = 0; c < scenes.size(); ++c)
    for (std::size_t s = 0; s < scenes[c].size(); ++s) {
      const std::string& title = shown.columns[c].title;
      const Surface& surface = scenes[c][s].surface;
      text += fmt::format("{},{},{},{},{},{},{:.6g},{:.6g}\n", shown.choice.rule, escape_csv(shown.choice.case_id),
                          escape_csv(title), dice_text(shown, title), escape_csv(shown.structures[s].name),
                          surface.triangles.size(), area_mm2(surface) / 100, volume_mm3(surface) / 1000);
    }
  return text;
}

}  // namespace

Drawing case_surfaces(const QualitativeCase& shown, const std::string& name, const Theme& theme,
                      const std::filesystem::path& folder) {
  std::vector<Scene> scenes;
  std::vector<std::string> titles;
  for (const TitledLabels& column : shown.columns) {
    scenes.push_back(scene_of(column.labels, shown.structures));
    titles.push_back(column.title);
  }
  const ViewFrame frame = frame_around(scenes);
  if (frame.empty()) return omitted(name, surfaces_title(shown.choice), "no structure has a voxel");
  const double pixels_per_mm = kColumnPixels / std::max(frame.right - frame.left, frame.top - frame.bottom);
  std::vector<Raster> panels;
  for (const Scene& scene : scenes) panels.push_back(draw_scene(scene, frame, pixels_per_mm));
  Drawing drawing =
      panels_drawing(shown, name, {titles, remarks_of(shown, titles), {panels}, kGapPixels}, theme, folder);
  drawing.script.data[name + ".csv"] = data_text(shown, scenes);
  drawing.figure.title = surfaces_title(shown.choice);
  drawing.figure.caption =
      shown.words() +
      " Marching tetrahedra over every label, lightly smoothed, to scale, seen without perspective from the front, 30° "
      "to the patient's left and 20° from above; camera, light and crop are the same in all panels. What a "
      "structure encloses is hidden. Numbers: mean Dice of the case over a configuration's runs; shown: its first "
      "run.";
  return drawing;
}

}  // namespace m3d::reports
