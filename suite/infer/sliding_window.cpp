#include "suite/infer/sliding_window.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "suite/infer/logit_means.h"
#include "suite/infer/tile_mean.h"

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
  if (padding.below == Shape3{} && padding.above == Shape3{}) return image;
  std::vector<std::int64_t> last_axis_first;
  for (std::size_t axis = 3; axis-- > 0;)
    last_axis_first.insert(last_axis_first.end(), {padding.below[axis], padding.above[axis]});
  return at::constant_pad_nd(image, last_axis_first);
}

Shape3 shape_of(const at::Tensor& image) { return {image.size(1), image.size(2), image.size(3)}; }

at::Tensor box_of(const at::Tensor& tensor, const Shape3& begin, const Shape3& shape) {
  return tensor.narrow(-3, begin[0], shape[0]).narrow(-2, begin[1], shape[1]).narrow(-1, begin[2], shape[2]);
}

/// All 2^k sets of the mirror axes, as dimensions of [1, C, D, H, W], in nnU-Net's order: by size, the empty one first.
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
  std::sort(sets.begin(), sets.end(),
            [](const auto& a, const auto& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; });
  return sets;
}

/// The mean of the network's answers to all flips of `tile`, flipped back, in the type and on the device of `like`.
at::Tensor mirrored_mean(const TileNetwork& network, const at::Tensor& tile,
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

AxisTiles axis_tiles(std::int64_t size, std::size_t axis, const SlidingWindowOptions& options) {
  const std::int64_t patch = options.patch[axis];
  return {tile_starts(size, patch, options.overlap),
          options.gaussian ? gaussian_profile(patch) : std::vector<double>(static_cast<std::size_t>(patch), 1), size};
}

/// One pass over an image. The means hold all of its planes, or one patch's depth of them at a time.
class SlidingWindow {
 public:
  SlidingWindow(const TileNetwork& network, const at::Tensor& image, std::int64_t classes,
                const SlidingWindowOptions& options, bool whole)
      : network_(network),
        options_(options),
        classes_(classes),
        whole_(whole),
        image_shape_(shape_of(image)),
        padding_(padding_to_patch(image_shape_, options.patch)),
        canvas_(pad(image, padding_)),
        flips_(flip_sets(options.mirror_axes)),
        axes_{axis_tiles(canvas_.size(1), 0, options), axis_tiles(canvas_.size(2), 1, options),
              axis_tiles(canvas_.size(3), 2, options)},
        means_({classes, whole ? canvas_.size(1) : options.patch[0], canvas_.size(2), canvas_.size(3)}, image,
               options) {}

  void run(const SlabConsumer& consume) {
    const std::vector<std::int64_t>& starts = axes_[0].starts;
    for (std::size_t i = 0; i < starts.size(); ++i) {
      add_tiles(i);
      if (whole_) continue;
      const bool last = i + 1 == starts.size();
      const std::int64_t finished = last ? options_.patch[0] : starts[i + 1] - starts[i];
      deliver(starts[i], finished, consume);
      if (!last) move_on(finished);
    }
    if (whole_) deliver(0, canvas_.size(1), consume);
  }

 private:
  /// All tiles of one index along the depth.
  void add_tiles(std::size_t i) {
    const std::int64_t z = axes_[0].starts[i];
    for (std::size_t j = 0; j < axes_[1].starts.size(); ++j) {
      for (std::size_t k = 0; k < axes_[2].starts.size(); ++k) {
        const at::Tensor tile =
            box_of(canvas_, {z, axes_[1].starts[j], axes_[2].starts[k]}, options_.patch).unsqueeze(0).contiguous();
        const at::Tensor logits = mirrored_mean(network_, tile, flips_, classes_, means_.type()).squeeze(0);
        add_tile(means_.tensor(), whole_ ? 0 : z, logits, axes_, {i, j, k});
      }
      means_.release();
    }
  }

  /// Hands over those of the first `count` planes that belong to the image.
  void deliver(std::int64_t canvas_plane, std::int64_t count, const SlabConsumer& consume) {
    const std::int64_t begin = std::max<std::int64_t>(0, padding_.below[0] - canvas_plane);
    const std::int64_t end = std::min(count, padding_.below[0] + image_shape_[0] - canvas_plane);
    const std::int64_t step = whole_ ? end - begin : planes_at_once();
    for (std::int64_t plane = begin; plane < end; plane += step) {
      const std::int64_t depth = std::min(step, end - plane);
      const at::Tensor slab = means_.tensor()
                                  .narrow(1, plane, depth)
                                  .narrow(2, padding_.below[1], image_shape_[1])
                                  .narrow(3, padding_.below[2], image_shape_[2]);
      consume(canvas_plane + plane - padding_.below[0], slab.contiguous());
      means_.release();
    }
  }

  std::int64_t planes_at_once() const {
    constexpr std::int64_t usual = 16;
    if (options_.memory_bytes == 0) return usual;
    const std::int64_t plane = classes_ * canvas_.size(2) * canvas_.size(3) * means_.tensor().element_size();
    return std::clamp<std::int64_t>(options_.memory_bytes / 4 / plane, 1, usual);
  }

  /// Drops the first `count` planes. The new ones hold nothing that counts: the first tile overwrites them.
  void move_on(std::int64_t count) {
    const at::Tensor& means = means_.tensor();
    for (std::int64_t plane = 0; plane + count < means.size(1); ++plane) {
      means.select(1, plane).copy_(means.select(1, plane + count));
      if (plane % 8 == 7) means_.release();
    }
    means_.release();
  }

  const TileNetwork& network_;
  const SlidingWindowOptions& options_;
  const std::int64_t classes_;
  const bool whole_;
  const Shape3 image_shape_;
  const Padding padding_;
  const at::Tensor canvas_;
  const std::vector<std::vector<std::int64_t>> flips_;
  const std::array<AxisTiles, 3> axes_;
  LogitMeans means_;
};

}  // namespace

std::vector<std::int64_t> tile_starts(std::int64_t size, std::int64_t patch, double overlap) {
  if (!(overlap >= 0 && overlap < 1)) throw std::invalid_argument("sliding window: overlap is at least 0 and below 1");
  // A patch of one voxel, the depth of a 2D network's, is moved by whole voxels.
  const double step = std::max(1.0, static_cast<double>(patch) * (1 - overlap));
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
  std::int64_t count = 1;
  for (std::size_t axis = 0; axis < 3; ++axis)
    count *= std::ssize(tile_starts(shape[axis], options.patch[axis], options.overlap));
  return count;
}

at::Tensor gaussian_weights(const Shape3& patch) {
  // No weight can be zero: each profile reaches to the patch's border within four sigma.
  const at::Tensor weights =
      profile_tensor(patch[0]).view({-1, 1, 1}) * profile_tensor(patch[1]).view({-1, 1}) * profile_tensor(patch[2]);
  return weights * (10 / weights.max());
}

void predict_slabs(const TileNetwork& network, const at::Tensor& image, std::int64_t classes,
                   const SlidingWindowOptions& options, const SlabConsumer& consume) {
  const at::NoGradGuard no_gradient;
  check(image, classes, options);
  SlidingWindow(network, image, classes, options, /*whole=*/false).run(consume);
}

at::Tensor predict_logits(const TileNetwork& network, const at::Tensor& image, std::int64_t classes,
                          const SlidingWindowOptions& options) {
  const at::NoGradGuard no_gradient;
  check(image, classes, options);
  SlidingWindowOptions in_memory = options;  // where the result will lie anyway
  in_memory.memory_bytes = 0;
  at::Tensor result;
  SlidingWindow window(network, image, classes, in_memory, /*whole=*/true);
  window.run([&](std::int64_t, const at::Tensor& logits) { result = logits; });
  return result;
}

}  // namespace m3d
