#pragma once
// The frame of a step, which the optimisers of this room share. Internal to it.
#include <torch/torch.h>

#include <functional>
#include <vector>

namespace m3d {

/// Of one group: its options and those of its parameters that have gradients.
using GroupUpdate = std::function<void(torch::optim::OptimizerOptions&, std::vector<torch::Tensor>&)>;

/// Calls the closure, where there is one, with gradients on, then `update` for each group without. Returns the
/// closure's loss.
torch::Tensor step_of_groups(std::vector<torch::optim::OptimizerParamGroup>& groups,
                             const torch::optim::Optimizer::LossClosure& closure, const GroupUpdate& update);

}  // namespace m3d
