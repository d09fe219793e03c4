#pragma once
// Slices of a case as pictures: grey values with structures filled and outlined, physically to scale.
#include <map>
#include <vector>

#include "datasets/images/image.h"
#include "reports/png.h"

namespace m3d::reports {

/// Grey values from black to white.
struct GreyWindow {
  float low = 0, high = 1;
};
/// Soft tissue (−160 to 240 HU) for CT, else the 0.5th to 99.5th percentile.
GreyWindow window_of(const ImageF& image, bool ct);

/// The voxel [z, y, x] whose three planes each hold the most voxels of any structure along their axis.
Shape3 richest_voxel(const LabelImage& labels);

/// A box of voxels, ends excluded.
struct Region {
  Shape3 begin{}, end{};
};
/// Around all structures, with a margin of 15 % and at least 40 % of every axis.
Region region_around(const LabelImage& labels);

/// What is common to all pictures of a case.
struct SliceView {
  const ImageF* image = nullptr;
  GreyWindow window;
  Shape3 voxel{};
  Region region;
  std::map<int, Rgb> colours;  // by label value
  double pixels_per_mm = 1;
};

/// Width and height in pixels of the plane across `axis` (0: D, 1: H, 2: W).
std::array<std::size_t, 2> slice_size(const SliceView& view, std::size_t axis);
/// `labels` may be null: the image alone. Patients are shown as radiologists see them: superior and anterior up.
Raster draw_slice(const SliceView& view, const LabelImage* labels, std::size_t axis);

}  // namespace m3d::reports
