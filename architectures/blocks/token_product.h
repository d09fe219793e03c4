#pragma once
#include <torch/types.h>

#include <vector>

namespace m3d {

/// Tokens x [B, L, K] times `weight` [N, K] transposed, as torch::linear without bias, the N results cut into
/// contiguous pieces [B, L, n] of the given sizes (their sum is N). On the CPU one step of autograd, whose gradient of
/// the weight is written piece by piece where it belongs: slices of the weight would each get one of the whole weight's
/// size.
std::vector<torch::Tensor> token_products(const torch::Tensor& x, const torch::Tensor& weight,
                                          const std::vector<std::int64_t>& sizes);

/// All in one piece.
torch::Tensor token_product(const torch::Tensor& x, const torch::Tensor& weight);

}  // namespace m3d
