#include "suite/infer/sliding_window.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace m3d {
namespace {

/// A normalised Gaussian of `size` voxels about size / 2, cut at four sigma, as a filtered unit impulse has it.
std::vector<double> gaussian_profile(std::int64_t size) {
  const double sigma = static_cast<double>(size) / 8;
  const auto radius = static_cast<std::int64_t>(4 * sigma + 0.5);
  const auto height = [sigma](std::int64_t distance) {
    const double x = static_cast<double>(distance) / sigma;
    return std::exp(-0.5 * x * x);
  };
  double sum = 0;
  for (std::int64_t distance = -radius; distance <= radius; ++distance) sum += height(distance);
  std::vector<double> profile(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) profile[static_cast<std::size_t>(i)] = height(i - size / 2) / sum;
  return profile;
}

at::Tensor profile_tensor(std::int64_t size) { return torch::tensor(gaussian_profile(size), torch::kDouble); }

at::Tensor pad(const at::Tensor& image, const Padding& padding) {
  std::vector<std::int64_t> last_axis_first;
  for (std::size_t axis = 3; axis-- > 0;)
    last_axis_first.insert(last_axis_first.end(), {padding.below[axis], padding.above[axis]});
  return at::constant_pad_nd(image, last_axis_first);
}

Shape3 shape_of(const at::Tensor& image) { return {image.size(1), image.size(2), image.size(3)}; }

at::Tensor box_of(const at::Tensor& tensor, const Shape3& begin, const Shape3& shape) {
  return tensor.narrow(-3, begin[0], shape[0]).narrow(-2, begin[1], shape[1]).narrow(-1, begin[2], shape[2]);
}

std::vector<Shape3> tile_positions(const Shape3& shape, const SlidingWindowOptions& options) {
  std::vector<Shape3> positions;
  for (const std::int64_t z : tile_starts(shape[0], options.patch[0], options.overlap))
    for (const std::int64_t y : tile_starts(shape[1], options.patch[1], options.overlap))
      for (const std::int64_t x : tile_starts(shape[2], options.patch[2], options.overlap))
        positions.push_back({z, y, x});
  return positions;
}

/// All 2^k sets of the mirror axes, as dimensions of [1, C, D, H, W]; the empty one first.
std::vector<std::vector<std::int64_t>> flip_sets(const std::vector<int>& mirror_axes) {
  std::vector<std::vector<std::int64_t>> sets{{}};
  for (const int axis : mirror_axes) {
    if (axis < 0 || axis > 2) throw std::invalid_argument("sliding window: mirror axes are 0, 1 and 2");
    const std::size_t count = sets.size();
    for (std::size_t i = 0; i < count; ++i) {
      sets.push_back(sets[i]);
      sets.back().push_back(axis + 2);
    }
  }
  return sets;
}

/// The mean of the network's answers to all flips of `tile`, flipped back, in the type and on the device of `like`.
at::Tensor mirrored_mean(const std::function<at::Tensor(const at::Tensor&)>& network, const at::Tensor& tile,
                         const std::vector<std::vector<std::int64_t>>& flips, std::int64_t classes,
                         const at::TensorOptions& like) {
  at::Tensor sum;
  for (const auto& dimensions : flips) {
    const at::Tensor answer = network(dimensions.empty() ? tile : tile.flip(dimensions));
    std::vector<std::int64_t> expected = tile.sizes().vec();
    expected[1] = classes;
    if (answer.sizes() != at::IntArrayRef(expected))
      throw std::invalid_argument(c10::str("sliding window: the network answered ", answer.sizes(), " to a tile of ",
                                           tile.sizes(), "; expected ", expected));
    const at::Tensor logits = (dimensions.empty() ? answer : answer.flip(dimensions)).to(like);
    sum = sum.defined() ? sum.add_(logits) : (flips.size() > 1 ? logits.clone() : logits);
  }
  return flips.size() > 1 ? sum.div_(static_cast<double>(flips.size())) : sum;
}

void check(const at::Tensor& image, std::int64_t classes, const SlidingWindowOptions& options) {
  if (image.dim() != 4 || image.numel() == 0 || !image.is_floating_point() || classes < 1)
    throw std::invalid_argument(
        c10::str("sliding window: image ", image.sizes(), "; expected [C, D, H, W] of a floating type"));
  if (*std::min_element(options.patch.begin(), options.patch.end()) < 1)
    throw std::invalid_argument("sliding window: the patch has at least one voxel along each axis");
}

}  // namespace

std::vector<std::int64_t> tile_starts(std::int64_t size, std::int64_t patch, double overlap) {
  if (!(overlap >= 0 && overlap < 1)) throw std::invalid_argument("sliding window: overlap is at least 0 and below 1");
  const double step = static_cast<double>(patch) * (1 - overlap);
  const std::int64_t last = std::max<std::int64_t>(0, size - patch);
  const auto count = static_cast<std::int64_t>(std::ceil(static_cast<double>(last) / step)) + 1;
  std::vector<std::int64_t> starts(static_cast<std::size_t>(count), 0);
  const double spread = count > 1 ? static_cast<double>(last) / static_cast<double>(count - 1) : 0;
  for (std::int64_t i = 0; i < count; ++i)  // nearbyint: ties to even, as Python rounds
    starts[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(std::nearbyint(spread * static_cast<double>(i)));
  return starts;
}

Padding padding_to_patch(const Shape3& image, const Shape3& patch) {
  Padding padding;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::int64_t missing = std::max<std::int64_t>(0, patch[axis] - image[axis]);
    padding.below[axis] = missing / 2;
    padding.above[axis] = missing - missing / 2;
  }
  return padding;
}

std::int64_t tile_count(const Shape3& shape, const SlidingWindowOptions& options) {
  return static_cast<std::int64_t>(tile_positions(shape, options).size());
}

at::Tensor gaussian_weights(const Shape3& patch) {
  // No weight can be zero: each profile reaches to the patch's border within four sigma.
  const at::Tensor weights =
      profile_tensor(patch[0]).view({-1, 1, 1}) * profile_tensor(patch[1]).view({-1, 1}) * profile_tensor(patch[2]);
  return weights * (10 / weights.max());
}

at::Tensor predict_logits(const std::function<at::Tensor(const at::Tensor&)>& network, const at::Tensor& image,
                          std::int64_t classes, const SlidingWindowOptions& options) {
  const at::NoGradGuard no_gradient;
  check(image, classes, options);
  const at::TensorOptions type = image.options().dtype(image.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  const Padding padding = padding_to_patch(shape_of(image), options.patch);
  const at::Tensor canvas = pad(image, padding);
  const Shape3 shape = shape_of(canvas);
  const at::Tensor weights =
      options.gaussian ? gaussian_weights(options.patch).to(type) : at::ones(options.patch, type);
  const auto flips = flip_sets(options.mirror_axes);
  at::Tensor sum = at::zeros({classes, shape[0], shape[1], shape[2]}, type);
  at::Tensor weight_sum = at::zeros(shape, type);
  for (const Shape3& begin : tile_positions(shape, options)) {
    const at::Tensor tile = box_of(canvas, begin, options.patch).unsqueeze(0).contiguous();
    const at::Tensor logits = mirrored_mean(network, tile, flips, classes, type).squeeze(0);
    box_of(sum, begin, options.patch).addcmul_(logits, weights);
    box_of(weight_sum, begin, options.patch).add_(weights);
  }
  return box_of(sum.div_(weight_sum), padding.below, shape_of(image)).contiguous();
}

}  // namespace m3d
