#include "suite/objective/optimiser_step.h"

#include <algorithm>

namespace m3d {
namespace {

torch::Tensor loss_of(const torch::optim::Optimizer::LossClosure& closure) {
  if (!closure) return {};
  const torch::AutoGradMode with_gradient(true);
  return closure();
}

}  // namespace

torch::Tensor step_of_groups(std::vector<torch::optim::OptimizerParamGroup>& groups,
                             const torch::optim::Optimizer::LossClosure& closure, const GroupUpdate& update) {
  const torch::NoGradGuard no_gradient;
  torch::Tensor loss = loss_of(closure);
  for (auto& group : groups) {
    std::vector<torch::Tensor> parameters;
    std::copy_if(group.params().begin(), group.params().end(), std::back_inserter(parameters),
                 [](const torch::Tensor& parameter) { return parameter.grad().defined(); });
    update(group.options(), parameters);
  }
  return loss;
}

}  // namespace m3d
