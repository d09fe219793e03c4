#pragma once
// Surfaces of structures as pictures: smoothed, lit, seen from a fixed oblique angle without perspective.
#include <vector>

#include "datasets/images/label_surface.h"
#include "reports/png.h"

namespace m3d::reports {

/// Every n-th voxel along the axes, the finest axis first, until at most `most_voxels` are left.
LabelImage thinned(const LabelImage& labels, std::int64_t most_voxels);

/// Takes the voxels' steps off: Laplacian steps that shrink and grow in turn (Taubin 1995), so that thin structures
/// neither vanish nor swell.
void smooth(Surface& surface);

double area_mm2(const Surface& surface);
double volume_mm3(const Surface& surface);

struct ColouredSurface {
  Surface surface;
  Rgb colour{};
};
/// The structures of one panel.
using Scene = std::vector<ColouredSurface>;

/// What the camera sees, millimetres to the right and up on its screen.
struct ViewFrame {
  double left = 0, right = 0, bottom = 0, top = 0;
  bool empty() const { return right <= left || top <= bottom; }
};
/// The frame that holds all scenes, so that they are shown alike; empty where they have no points.
ViewFrame frame_around(const std::vector<Scene>& scenes);

/// The scene on white: the nearest surface at every pixel, with ambient light and a lamp at the upper left (Lambert).
/// The patient is seen from the front, 30° to the left and 20° from above. The same bytes for the same scene.
Raster draw_scene(const Scene& scene, const ViewFrame& frame, double pixels_per_mm);

}  // namespace m3d::reports
