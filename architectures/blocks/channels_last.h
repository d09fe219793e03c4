#pragma once
#include <torch/types.h>

namespace m3d {

/// The image [B, C, D, H, W] in channels-last strides, also where it has one channel: there both layouts are the same
/// memory, and by the strides alone LibTorch would take it for the other one, convolve in that, and hand it on.
torch::Tensor in_channels_last(const torch::Tensor& image);

}  // namespace m3d
