#include "architectures/few_voxel_convolution.h"

#include <ATen/ATen.h>

#include "kernels/parallel.h"

namespace m3d {
namespace {

using at::Tensor;

/// The output's voxels as rows [voxels, C].
Tensor rows_of(const Tensor& volume) { return volume.permute({0, 2, 3, 4, 1}).reshape({-1, volume.size(1)}); }

/// What each output voxel sees, as rows [voxels, C kd kh kw] in the weight's order.
Tensor windows_of(const Tensor& input, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding) {
  const Tensor padded =
      at::constant_pad_nd(input, {padding[2], padding[2], padding[1], padding[1], padding[0], padding[0]});
  Tensor windows = padded;
  for (std::int64_t axis = 2; axis < 5; ++axis)
    windows = windows.unfold(axis, weight.size(axis), stride[static_cast<std::size_t>(axis) - 2]);
  return windows.permute({0, 2, 3, 4, 1, 5, 6, 7}).reshape({-1, weight.numel() / weight.size(0)});
}

Tensor as_matrix(const Tensor& weight) { return weight.contiguous().view({weight.size(0), -1}); }

/// Adds windows back to where they were cut from: the input's gradient [B, D, H, W, C].
class Fold {
 public:
  Fold(const Tensor& windows, const Tensor& gradient, const Tensor& output, const Tensor& weight,
       at::IntArrayRef stride, at::IntArrayRef padding)
      : from_(windows.const_data_ptr<float>()),
        to_(gradient.data_ptr<float>()),
        in_{gradient.size(1), gradient.size(2), gradient.size(3)},
        out_{output.size(2), output.size(3), output.size(4)},
        kernel_{weight.size(2), weight.size(3), weight.size(4)},
        stride_{stride[0], stride[1], stride[2]},
        padding_{padding[0], padding[1], padding[2]},
        batch_(gradient.size(0)),
        channels_(gradient.size(4)) {}

  void run() const {
    const std::int64_t taps = kernel_[0] * kernel_[1] * kernel_[2];
    const std::int64_t voxels = batch_ * out_[0] * out_[1] * out_[2];
    // Channels are independent: each one's sums have the same order on any number of threads.
    for_each_piece(channels_, 8 * voxels * taps, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t voxel = 0; voxel < voxels; ++voxel)
        for (std::int64_t tap = 0; tap < taps; ++tap) add(voxel, tap, taps, begin, end);
    });
  }

 private:
  void add(std::int64_t voxel, std::int64_t tap, std::int64_t taps, std::int64_t begin, std::int64_t end) const {
    std::int64_t left_voxel = voxel, left_tap = tap, offset = 0, scale = 1;
    for (std::size_t axis = 3; axis-- > 0;) {
      const std::int64_t place = left_voxel % out_[axis] * stride_[axis] + left_tap % kernel_[axis] - padding_[axis];
      if (place < 0 || place >= in_[axis]) return;
      offset += place * scale;
      scale *= in_[axis], left_voxel /= out_[axis], left_tap /= kernel_[axis];
    }
    float* const row = to_ + (left_voxel * scale + offset) * channels_;
    const float* const window = from_ + voxel * channels_ * taps + tap;
    for (std::int64_t c = begin; c < end; ++c) row[c] += window[c * taps];
  }

  const float* from_;
  float* to_;
  std::array<std::int64_t, 3> in_, out_, kernel_, stride_, padding_;
  std::int64_t batch_, channels_;
};

}  // namespace

bool weight_outweighs_windows(const Tensor& weight, std::int64_t output_voxels) {
  return weight.dim() == 5 && output_voxels <= weight.size(0);
}

Tensor few_voxel_convolution(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                             at::IntArrayRef stride, at::IntArrayRef padding) {
  Tensor rows = at::mm(windows_of(input, weight, stride, padding), as_matrix(weight).t());
  if (bias && bias->defined()) rows.add_(*bias);
  std::array<std::int64_t, 3> size{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto at = static_cast<std::int64_t>(axis) + 2;
    size[axis] = (input.size(at) + 2 * padding[axis] - weight.size(at)) / stride[axis] + 1;
  }
  return rows.view({input.size(0), size[0], size[1], size[2], weight.size(0)})
      .permute({0, 4, 1, 2, 3})
      .contiguous(input.suggest_memory_format());
}

std::tuple<Tensor, Tensor, Tensor> few_voxel_convolution_backward(const Tensor& gradient, const Tensor& input,
                                                                  const Tensor& weight, at::IntArrayRef stride,
                                                                  at::IntArrayRef padding,
                                                                  const std::array<bool, 3>& wanted) {
  const Tensor slopes = rows_of(gradient);
  Tensor grad_input, grad_weight, grad_bias;
  if (wanted[0]) {
    const Tensor windows = at::mm(slopes, as_matrix(weight));
    const Tensor folded =
        at::zeros({input.size(0), input.size(2), input.size(3), input.size(4), input.size(1)}, input.options());
    Fold(windows, folded, gradient, weight, stride, padding).run();
    grad_input = folded.permute({0, 4, 1, 2, 3}).contiguous(input.suggest_memory_format());
  }
  if (wanted[1]) grad_weight = at::mm(slopes.t(), windows_of(input, weight, stride, padding)).view(weight.sizes());
  if (wanted[2]) grad_bias = slopes.sum(0);
  return {grad_input, grad_weight, grad_bias};
}

}  // namespace m3d
