#pragma once
// What the optimisers of Adam's family keep for every parameter. Internal to this room.
#include <torch/torch.h>

namespace m3d {

/// The state of one parameter of `optimiser`; its averages are zero before the first step.
torch::optim::AdamWParamState& adam_state(torch::optim::Optimizer& optimiser, const torch::Tensor& parameter);

}  // namespace m3d
