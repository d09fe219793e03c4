#pragma once
// A network's state as its original shows it.
#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

namespace m3d {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Parameters and buffers in the order of PyTorch's state_dict: module by module, parameters before buffers, each
/// tensor under its first name only.
NamedTensors state_of(const torch::nn::Module& network);

}  // namespace m3d
