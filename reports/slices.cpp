#include "reports/slices.h"

#include <algorithm>
#include <cmath>

#include "common/statistics.h"

namespace m3d::reports {
namespace {

constexpr double kFill = 0.35;  // opacity

/// The two axes that a plane shows: rows and columns.
std::array<std::size_t, 2> shown_axes(std::size_t axis) {
  return axis == 0   ? std::array<std::size_t, 2>{1, 2}
         : axis == 1 ? std::array<std::size_t, 2>{0, 2}
                     : std::array<std::size_t, 2>{0, 1};
}

double extent_mm(const SliceView& view, std::size_t axis) {
  return static_cast<double>(view.region.end[axis] - view.region.begin[axis]) * view.image->geometry.spacing_mm[axis];
}

/// In ITK's LPS frame x runs to the patient's left, y to the back, z to the head. On the screen left, back and feet
/// shall come last, so that an axis is turned round where its index runs the other way.
bool turned(const Geometry& geometry, std::size_t axis) {
  const std::size_t index_axis = 2 - axis;  // [D, H, W] are z, y, x
  double largest = 0;
  std::size_t patient_axis = index_axis;
  for (std::size_t row = 0; row < 3; ++row)
    if (const double component = geometry.direction[3 * row + index_axis]; std::abs(component) > std::abs(largest)) {
      largest = component;
      patient_axis = row;
    }
  return patient_axis == 2 ? largest > 0 : largest < 0;
}

struct Sampler {
  const SliceView& view;
  std::size_t axis, row_axis, column_axis;
  bool turn_rows, turn_columns;
  std::array<std::size_t, 2> size;

  Sampler(const SliceView& slice_view, std::size_t across)
      : view(slice_view),
        axis(across),
        row_axis(shown_axes(across)[0]),
        column_axis(shown_axes(across)[1]),
        turn_rows(turned(slice_view.image->geometry, row_axis)),
        turn_columns(turned(slice_view.image->geometry, column_axis)),
        size(slice_size(slice_view, across)) {}

  std::int64_t index(std::size_t along, std::size_t pixel, std::size_t pixels, bool turn) const {
    const std::size_t place = turn ? pixels - 1 - pixel : pixel;
    const std::int64_t count = view.region.end[along] - view.region.begin[along];
    return view.region.begin[along] +
           std::min(count - 1, static_cast<std::int64_t>((static_cast<double>(place) + 0.5) *
                                                         static_cast<double>(count) / static_cast<double>(pixels)));
  }
  Shape3 voxel(std::size_t x, std::size_t y) const {
    Shape3 place = view.voxel;
    place[row_axis] = index(row_axis, y, size[1], turn_rows);
    place[column_axis] = index(column_axis, x, size[0], turn_columns);
    return place;
  }
};

Rgb grey(const SliceView& view, float value) {
  const float span = std::max(view.window.high - view.window.low, 1e-6F);
  const float share = std::clamp((value - view.window.low) / span, 0.0F, 1.0F);
  const auto level = static_cast<std::uint8_t>(std::lround(255 * share));
  return {level, level, level};
}

Rgb mixed(const Rgb& below, const Rgb& above, double opacity) {
  Rgb result{};
  for (std::size_t i = 0; i < 3; ++i)
    result[i] = static_cast<std::uint8_t>(std::lround(below[i] + (above[i] - below[i]) * opacity));
  return result;
}

/// True where a neighbouring pixel has another label.
bool on_outline(const std::vector<int>& labels, std::size_t width, std::size_t height, std::size_t x, std::size_t y) {
  const int own = labels[y * width + x];
  return (x > 0 && labels[y * width + x - 1] != own) || (x + 1 < width && labels[y * width + x + 1] != own) ||
         (y > 0 && labels[(y - 1) * width + x] != own) || (y + 1 < height && labels[(y + 1) * width + x] != own);
}

}  // namespace

GreyWindow window_of(const ImageF& image, bool ct) {
  if (ct) return {-160, 240};
  std::vector<double> sample;
  const std::size_t stride = std::max<std::size_t>(1, image.voxels.size() / 20000);
  for (std::size_t i = 0; i < image.voxels.size(); i += stride) sample.push_back(image.voxels[i]);
  return {static_cast<float>(quantile(sample, 0.005)), static_cast<float>(quantile(sample, 0.995))};
}

Shape3 richest_voxel(const LabelImage& labels) {
  std::array<std::vector<std::int64_t>, 3> counts;
  for (std::size_t axis = 0; axis < 3; ++axis) counts[axis].assign(static_cast<std::size_t>(labels.shape()[axis]), 0);
  for (std::int64_t z = 0; z < labels.shape()[0]; ++z)
    for (std::int64_t y = 0; y < labels.shape()[1]; ++y)
      for (std::int64_t x = 0; x < labels.shape()[2]; ++x) {
        if (labels.at(z, y, x) == 0) continue;
        ++counts[0][static_cast<std::size_t>(z)];
        ++counts[1][static_cast<std::size_t>(y)];
        ++counts[2][static_cast<std::size_t>(x)];
      }
  Shape3 voxel{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    voxel[axis] = std::max_element(counts[axis].begin(), counts[axis].end()) - counts[axis].begin();
  return voxel;
}

Region region_around(const LabelImage& labels) {
  Region box{labels.shape(), {0, 0, 0}};
  for (std::int64_t z = 0; z < labels.shape()[0]; ++z)
    for (std::int64_t y = 0; y < labels.shape()[1]; ++y)
      for (std::int64_t x = 0; x < labels.shape()[2]; ++x) {
        if (labels.at(z, y, x) == 0) continue;
        const Shape3 place = {z, y, x};
        for (std::size_t axis = 0; axis < 3; ++axis) {
          box.begin[axis] = std::min(box.begin[axis], place[axis]);
          box.end[axis] = std::max(box.end[axis], place[axis] + 1);
        }
      }
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::int64_t length = labels.shape()[axis],
                       extent = std::max<std::int64_t>(box.end[axis] - box.begin[axis], 0);
    if (extent == 0) return {{0, 0, 0}, labels.shape()};
    const std::int64_t wanted = std::min(length, std::max(extent + 3 * extent / 10 + 2, 2 * length / 5));
    box.begin[axis] = std::clamp<std::int64_t>(box.begin[axis] - (wanted - extent) / 2, 0, length - wanted);
    box.end[axis] = box.begin[axis] + wanted;
  }
  return box;
}

std::array<std::size_t, 2> slice_size(const SliceView& view, std::size_t axis) {
  const auto axes = shown_axes(axis);
  const auto pixels = [&](std::size_t along) {
    return static_cast<std::size_t>(std::max(1.0, std::round(extent_mm(view, along) * view.pixels_per_mm)));
  };
  return {pixels(axes[1]), pixels(axes[0])};
}

Raster draw_slice(const SliceView& view, const LabelImage* labels, std::size_t axis) {
  const Sampler sampler(view, axis);
  const auto [width, height] = sampler.size;
  Raster raster(width, height, {0, 0, 0});
  std::vector<int> values(width * height, 0);
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      const Shape3 v = sampler.voxel(x, y);
      raster.at(x, y) = grey(view, view.image->at(v[0], v[1], v[2]));
      if (labels != nullptr) values[y * width + x] = labels->at(v[0], v[1], v[2]);
    }
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      const auto colour = view.colours.find(values[y * width + x]);
      if (colour == view.colours.end()) continue;
      raster.at(x, y) = mixed(raster.at(x, y), colour->second, on_outline(values, width, height, x, y) ? 1.0 : kFill);
    }
  return raster;
}

}  // namespace m3d::reports
