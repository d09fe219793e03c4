#pragma once
#include <torch/types.h>

#include <vector>

namespace m3d {

/// The scans of one layer, gated: `factor` · silu(z) · (y_0 + y_1 + …), where each y [B, S·L, C] holds S scales' tokens
/// in a row and z is [B, L, C]; scales become channels: [B, L, S·C]. One gate for all that a layer scans, which lets
/// the scans themselves do without; on the CPU in one pass each way, and with one copy of the sum kept for the
/// backward. The same bits for any number of threads.
torch::Tensor gated_sum(const std::vector<torch::Tensor>& scans, const torch::Tensor& z, double factor);

}  // namespace m3d
