#include "datasets/preprocessing/plane_resampling.h"

#include <algorithm>
#include <stdexcept>

#include "datasets/preprocessing/slice_resizer.h"

namespace m3d {

struct PlaneResampling::Axes {
  AxisTaps z, y, x;

  /// The last of the planes that new plane `index` is made of.
  std::int64_t last_plane(std::int64_t index) const {
    return std::min(z.start[static_cast<std::size_t>(index)] + z.taps, z.size) - 1;
  }
};

PlaneResampling::PlaneResampling(const Shape3& shape, const Shape3& new_shape, const Spacing3& current,
                                 const Spacing3& target, const ResamplingRule& rule) {
  if (!handles(rule)) throw std::invalid_argument("PlaneResampling: only the orders 0 and 1, and order_z 0");
  const std::optional<int> apart = separate_axis(current, target, rule);
  const auto axis = [&](int i) {
    const auto at = static_cast<std::size_t>(i);
    return AxisTaps(shape[at], new_shape[at], apart == i ? rule.order_z : rule.order);
  };
  axes_ = std::make_unique<const Axes>(Axes{axis(0), axis(1), axis(2)});
}

PlaneResampling::~PlaneResampling() = default;
PlaneResampling::PlaneResampling(PlaneResampling&&) noexcept = default;

bool PlaneResampling::handles(const ResamplingRule& rule) {
  return (rule.order == 0 || rule.order == 1) && rule.order_z == 0;
}

std::int64_t PlaneResampling::complete(std::int64_t taken) const {
  std::int64_t count = 0;
  while (count < axes_->z.new_size && axes_->last_plane(count) < taken) ++count;
  return count;
}

struct PlaneResampling::Channel::State {
  explicit State(const Axes& all)
      : axes(all),
        resizer(all.y, all.x),
        voxels(all.y.new_size * all.x.new_size),
        planes(static_cast<std::size_t>(2 * voxels)) {}

  double* plane(std::int64_t index) { return planes.data() + index % 2 * voxels; }

  const Axes& axes;
  SliceResizer resizer;
  std::int64_t voxels, taken = 0;
  std::vector<double> planes;  // the last two, resized within
};

PlaneResampling::Channel::Channel(const PlaneResampling& resampling)
    : state_(std::make_unique<State>(*resampling.axes_)) {}
PlaneResampling::Channel::~Channel() = default;
PlaneResampling::Channel::Channel(Channel&&) noexcept = default;

void PlaneResampling::Channel::take(const float* plane) {
  double* const target = state_->plane(state_->taken++);
  const std::int64_t width = state_->axes.x.new_size;
  state_->resizer.run(plane, [&](std::int64_t row, std::int64_t column, const double* values, std::int64_t count) {
    std::copy(values, values + count, target + row * width + column);
  });
}

void PlaneResampling::Channel::write(std::int64_t index, float* result) const {
  const AxisTaps& z = state_->axes.z;
  const std::int64_t first = z.start[static_cast<std::size_t>(index)];
  const double* const a = state_->plane(first);
  if (z.taps == 1) {
    std::transform(a, a + state_->voxels, result, [](double value) { return static_cast<float>(value); });
    return;
  }
  const double* const b = state_->plane(state_->axes.last_plane(index));
  const double* const weights = z.weights.data() + index * z.taps;
  std::transform(a, a + state_->voxels, b, result,
                 [&](double x, double y) { return static_cast<float>(weights[0] * x + weights[1] * y); });
}

}  // namespace m3d
