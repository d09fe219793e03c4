#pragma once
// Activation checkpointing (Chen et al., arXiv:1604.06174): memory for time.
#include <torch/torch.h>

#include <functional>

namespace m3d {

/// run(x), of which only x is kept for the backward pass, where `run` is called again. Its parameters' gradients are
/// accumulated there (so use backward(), not autograd::grad); nothing in `run` may be random. Without gradient mode, or
/// where x needs no gradient, simply run(x).
torch::Tensor checkpointed(const std::function<torch::Tensor(const torch::Tensor&)>& run, const torch::Tensor& x);

}  // namespace m3d
