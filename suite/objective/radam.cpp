#include "suite/objective/radam.h"

#include <cmath>

#include "suite/objective/adam_state.h"
#include "suite/objective/optimiser_step.h"

namespace m3d {
namespace {

/// The factor of the adaptive step, or nothing while the variance is not tractable.
std::optional<double> rectification(double beta2, double steps) {
  const double decay = std::pow(beta2, steps);
  const double limit = 2 / (1 - beta2) - 1;
  const double length = limit - 2 * steps * decay / (1 - decay);
  if (length <= 5) return std::nullopt;
  return std::sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length));
}

}  // namespace

RAdam::RAdam(std::vector<torch::Tensor> parameters, torch::optim::AdamWOptions options)
    : torch::optim::AdamW(std::move(parameters), std::move(options)) {}

torch::Tensor RAdam::step(LossClosure closure) {
  return step_of_groups(param_groups_, closure, [this](auto& options, auto& parameters) {
    for (torch::Tensor& parameter : parameters)
      update(parameter, static_cast<const torch::optim::AdamWOptions&>(options));
  });
}

void RAdam::update(torch::Tensor& parameter, const torch::optim::AdamWOptions& options) {
  const auto [beta1, beta2] = options.betas();
  torch::optim::AdamWParamState& state = adam_state(*this, parameter);
  state.step(state.step() + 1);
  const double steps = static_cast<double>(state.step());
  torch::Tensor gradient = parameter.grad();
  if (options.weight_decay() != 0) gradient = gradient.add(parameter, options.weight_decay());
  state.exp_avg().lerp_(gradient, 1 - beta1);
  state.exp_avg_sq().mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
  const double rate = options.lr() / (1 - std::pow(beta1, steps));
  if (const std::optional<double> factor = rectification(beta2, steps)) {
    const double bias = std::sqrt(1 - std::pow(beta2, steps));
    parameter.addcdiv_(state.exp_avg(), state.exp_avg_sq().sqrt().add_(options.eps()), -rate * *factor * bias);
  } else {
    parameter.add_(state.exp_avg(), -rate);
  }
}

}  // namespace m3d
