#include "suite/objective/adam_state.h"

namespace m3d {

torch::optim::AdamWParamState& adam_state(torch::optim::Optimizer& optimiser, const torch::Tensor& parameter) {
  auto& entry = optimiser.state()[parameter.unsafeGetTensorImpl()];
  if (!entry) {
    auto state = std::make_unique<torch::optim::AdamWParamState>();
    state->exp_avg(torch::zeros_like(parameter));
    state->exp_avg_sq(torch::zeros_like(parameter));
    entry = std::move(state);
  }
  return static_cast<torch::optim::AdamWParamState&>(*entry);
}

}  // namespace m3d
