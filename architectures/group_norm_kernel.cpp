#include "architectures/group_norm_kernel.h"

#include <ATen/ATen.h>
#include <ATen/ops/native_group_norm_backward_cpu_dispatch.h>

#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include "architectures/kernel_override.h"

namespace m3d {
namespace {

using at::Tensor;
using Gradients = std::tuple<Tensor, Tensor, Tensor>;  // of input, weight and bias

/// Sizes of a normalisation: B images of C channels in G groups.
struct Sizes {
  std::int64_t batch, channels, voxels, groups;
};

bool lies_by_channels(const Tensor& x) {
  const at::MemoryFormat format = x.suggest_memory_format();
  return format == at::MemoryFormat::ChannelsLast || format == at::MemoryFormat::ChannelsLast3d;
}

/// [B, C, ...] as [B, voxels, C], a view where channels lie together.
Tensor by_voxel(const Tensor& x, const Sizes& sizes) {
  return x.movedim(1, -1).reshape({sizes.batch, sizes.voxels, sizes.channels});
}

/// [B, G] for each channel: [B, C].
Tensor for_channels(const Tensor& of_groups, const Sizes& sizes) {
  return of_groups.view({sizes.batch, sizes.groups, 1})
      .expand({sizes.batch, sizes.groups, sizes.channels / sizes.groups})
      .reshape({sizes.batch, sizes.channels});
}

/// [B, C] summed over the channels of each group: [B, G].
Tensor over_groups(const Tensor& of_channels, const Sizes& sizes) {
  return of_channels.view({sizes.batch, sizes.groups, -1}).sum(2);
}

/// With s = 1 / deviation, m = mean and n values in a group, the input's gradient is s w g + a x + b, where
/// a = s³ (m Σ w g - Σ w g x) / n and b = -a m - s Σ w g / n (g: the result's gradient, w: the weight, x: the input).
Gradients by_sums(const Tensor& gradient, const Tensor& input, const Tensor& mean, const Tensor& rstd,
                  const std::optional<Tensor>& weight, const Sizes& sizes, const std::array<bool, 3>& wanted) {
  const Tensor x = by_voxel(input, sizes), g = by_voxel(gradient, sizes);
  const Tensor sums = g.sum(1), products = (g * x).sum(1);  // [B, C]
  const Tensor m = mean.view({sizes.batch, sizes.groups}), s = rstd.view({sizes.batch, sizes.groups});
  Gradients gradients;
  if (wanted[0]) {
    const bool weighted = weight && weight->defined();
    const auto times_weight = [&](const Tensor& of_channels) { return weighted ? of_channels * *weight : of_channels; };
    const Tensor group_sums = over_groups(times_weight(sums), sizes);
    const Tensor group_products = over_groups(times_weight(products), sizes);
    const double count = static_cast<double>(sizes.voxels * (sizes.channels / sizes.groups));
    const Tensor a = (group_sums * m - group_products) * s.pow(3) / count;
    const Tensor b = -a * m - group_sums * s / count;
    Tensor result = at::addcmul(for_channels(b, sizes).unsqueeze(1), x, for_channels(a, sizes).unsqueeze(1));
    result.addcmul_(g, times_weight(for_channels(s, sizes)).unsqueeze(1));
    std::vector<std::int64_t> shape = input.sizes().vec();
    shape.erase(shape.begin() + 1);
    shape.push_back(sizes.channels);
    std::get<0>(gradients) = result.view(shape).movedim(-1, 1);
  }
  if (wanted[1]) std::get<1>(gradients) = ((products - sums * for_channels(m, sizes)) * for_channels(s, sizes)).sum(0);
  if (wanted[2]) std::get<2>(gradients) = sums.sum(0);
  return gradients;
}

Gradients group_norm_backward(const Tensor& gradient, const Tensor& input, const Tensor& mean, const Tensor& rstd,
                              const std::optional<Tensor>& weight, std::int64_t batch, std::int64_t channels,
                              std::int64_t voxels, std::int64_t groups, std::array<bool, 3> wanted) {
  const auto libtorch = [&](const Tensor& g, const Tensor& x) {
    return at::cpu::native_group_norm_backward(g, x, mean, rstd, weight, batch, channels, voxels, groups, wanted);
  };
  if (input.numel() == 0 || !lies_by_channels(input)) return libtorch(gradient, input);
  const at::ScalarType type = input.scalar_type();
  if ((type == at::kFloat || type == at::kDouble) && mean.scalar_type() == type && gradient.scalar_type() == type)
    return by_sums(gradient, input, mean, rstd, weight, {batch, channels, voxels, groups}, wanted);
  Gradients gradients = libtorch(gradient.contiguous(), input.contiguous());
  if (wanted[0]) std::get<0>(gradients) = std::get<0>(gradients).contiguous(input.suggest_memory_format());
  return gradients;
}

}  // namespace

void register_group_norm_kernel() {
  static const torch::Library library =
      cpu_kernels_instead([](torch::Library& aten) { aten.impl("native_group_norm_backward", group_norm_backward); });
}

}  // namespace m3d
