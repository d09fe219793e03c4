#include "architectures/blocks/linear_interpolation.h"

#include <ATen/Context.h>

#include "architectures/blocks/full_precision.h"

namespace m3d {
namespace {

bool needs_fixed_order(const torch::Tensor& x) { return x.is_cuda() && at::globalContext().deterministicAlgorithms(); }

/// From here on LibTorch's loops over channels that lie together are the faster ones, four times and more (CPU).
constexpr std::int64_t kManyChannels = 8;

torch::MemoryFormat channels_last(std::size_t axes) {
  return axes == 2 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::ChannelsLast3d;
}

/// [size, old_size]: what each old voxel gives to each new one, a tent around the place that the new one reads.
torch::Tensor weights_along(std::int64_t old_size, std::int64_t size, bool align_corners,
                            const torch::TensorOptions& options) {
  const auto last = static_cast<double>(old_size - 1);
  const auto index = torch::arange(size, options);
  const double steps = static_cast<double>(std::max<std::int64_t>(size - 1, 1));
  const double ratio = static_cast<double>(old_size) / static_cast<double>(size);
  const auto place = align_corners ? index * (last / steps) : ((index + 0.5) * ratio - 0.5).clamp(0, last);
  return (1 - (place.unsqueeze(1) - torch::arange(old_size, options)).abs()).clamp_min(0);
}

/// One of the eight voxels around the places: its row in the flattened volumes, and its weight, zero outside.
struct Corner {
  torch::Tensor rows, weights;  // [B, Q, P]
};

/// `positions` [B, Q, P, 3]: x, y, z in voxels. `sizes`: W, H, D.
Corner corner_of(const torch::Tensor& positions, const std::array<std::int64_t, 3>& sizes, unsigned bits) {
  const std::array<std::int64_t, 3> strides = {1, sizes[0], sizes[0] * sizes[1]};
  const std::int64_t voxels = strides[2] * sizes[2];
  const auto first = torch::arange(positions.size(0), torch::dtype(torch::kLong).device(positions.device())) * voxels;
  Corner corner{first.view({-1, 1, 1}), {}};
  for (std::int64_t axis = 0; axis < 3; ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    const auto position = positions.select(-1, axis);
    const auto voxel = position.detach().floor() + static_cast<double>(bits >> axis & 1);
    const auto inside = voxel.ge(0).logical_and(voxel.le(static_cast<double>(sizes[i] - 1)));
    const auto weight = (1 - (position - voxel).abs()) * inside;
    corner.weights = axis == 0 ? weight : corner.weights * weight;
    corner.rows = corner.rows + voxel.clamp(0, static_cast<double>(sizes[i] - 1)).to(torch::kLong) * strides[i];
  }
  return corner;
}

}  // namespace

torch::Tensor resized_linear_by_products(const torch::Tensor& x, at::IntArrayRef size, bool align_corners) {
  const FullPrecision full(x.device());
  auto resized = FullPrecision::of(x);
  for (std::size_t i = 0; i < size.size(); ++i) {
    const auto axis = static_cast<std::int64_t>(i) + 2;
    if (resized.size(axis) == size[i]) continue;
    const auto weights = weights_along(resized.size(axis), size[i], align_corners, resized.options());
    resized = torch::matmul(resized.transpose(axis, -1), weights.t()).transpose(axis, -1);
  }
  return resized.contiguous().to(x.scalar_type());
}

torch::Tensor sampled_linear_by_gathers(const torch::Tensor& volumes, const torch::Tensor& places) {
  const std::array<std::int64_t, 3> sizes = {volumes.size(4), volumes.size(3), volumes.size(2)};
  const auto edges = torch::tensor({sizes[0], sizes[1], sizes[2]}, torch::kLong).to(places.options());
  const auto positions = ((places + 1) * edges - 1) / 2;
  const auto rows = volumes.permute({0, 2, 3, 4, 1}).reshape({-1, volumes.size(1)});  // [B * voxels, C]
  torch::Tensor sum;
  for (unsigned bits = 0; bits < 8; ++bits) {
    const Corner corner = corner_of(positions, sizes, bits);
    const auto read =
        rows.index_select(0, corner.rows.flatten()).view({places.size(0), places.size(1), places.size(2), -1});
    const auto part = read * corner.weights.unsqueeze(-1);
    sum = bits == 0 ? part : sum + part;
  }
  return sum.permute({0, 3, 1, 2});
}

torch::Tensor resized_linear(const torch::Tensor& x, at::IntArrayRef size, bool align_corners) {
  if (needs_fixed_order(x)) return resized_linear_by_products(x, size, align_corners);
  const auto resized = [&](const torch::Tensor& volume) {
    return size.size() == 2 ? torch::upsample_bilinear2d(volume, size, align_corners)
                            : torch::upsample_trilinear3d(volume, size, align_corners);
  };
  if (!x.is_cpu() || x.size(1) < kManyChannels) return resized(x);
  const auto format = channels_last(size.size());
  const auto result = resized(x.contiguous(format));
  if (result.requires_grad()) result.register_hook([format](torch::Tensor grad) { return grad.contiguous(format); });
  return result;
}

torch::Tensor sampled_linear(const torch::Tensor& volumes, const torch::Tensor& places) {
  if (needs_fixed_order(volumes)) return sampled_linear_by_gathers(volumes, places);
  constexpr std::int64_t bilinear = 0, zeros = 0;
  return torch::grid_sampler(volumes, places.unsqueeze(1), bilinear, zeros, /*align_corners=*/false).squeeze(2);
}

}  // namespace m3d
