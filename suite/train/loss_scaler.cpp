#include "suite/train/loss_scaler.h"

#include <cmath>

namespace m3d {

bool LossScaler::unscale(const std::vector<torch::Tensor>& parameters) const {
  const torch::NoGradGuard no_gradients;
  const double factor = 1 / state_.scale;
  torch::Tensor all_finite;
  for (const torch::Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    const torch::Tensor finite = torch::isfinite(parameter.mutable_grad().mul_(factor)).all();
    all_finite = all_finite.defined() ? all_finite.logical_and(finite) : finite;
  }
  return !all_finite.defined() || all_finite.item<bool>();
}

void LossScaler::update(bool gradients_were_finite) {
  if (!gradients_were_finite) {
    state_.scale /= 2;
    state_.good_steps = 0;
  } else if (++state_.good_steps == growth_interval_) {
    // A float32 on the device in PyTorch, which never grows to infinity.
    if (std::isfinite(static_cast<float>(2 * state_.scale))) state_.scale *= 2;
    state_.good_steps = 0;
  }
}

}  // namespace m3d
