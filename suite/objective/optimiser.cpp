#include "suite/objective/optimiser.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/nearest_name.h"
#include "suite/objective/fused_optimisers.h"
#include "suite/objective/radam.h"
#include "suite/objective/setting.h"

namespace m3d {
namespace {

torch::optim::AdamWOptions adaptive_options(const Json& settings) {
  return torch::optim::AdamWOptions(setting(settings, "learning_rate", 1e-3))
      .betas({setting(settings, "beta1", 0.9), setting(settings, "beta2", 0.999)})
      .eps(setting(settings, "epsilon", 1e-8))
      .weight_decay(setting(settings, "weight_decay", 0.0));
}

torch::optim::SGDOptions sgd_options(const Json& settings) {
  const double momentum = setting(settings, "momentum", 0.9);
  return torch::optim::SGDOptions(setting(settings, "learning_rate", 1e-3))
      .momentum(momentum)
      .nesterov(momentum > 0 && setting(settings, "nesterov", true))
      .weight_decay(setting(settings, "weight_decay", 0.0));
}

}  // namespace

std::unique_ptr<torch::optim::Optimizer> make_optimiser(const Json& train_settings,
                                                        std::vector<torch::Tensor> parameters) {
  using WeightDecay = FusedAdam::WeightDecay;
  const std::string name = setting(train_settings, "optimiser", std::string("adamw"));
  if (name == "adamw" || name == "adam")
    return std::make_unique<FusedAdam>(std::move(parameters), adaptive_options(train_settings),
                                       name == "adamw" ? WeightDecay::decoupled : WeightDecay::added_to_gradient);
  if (name == "radam") return std::make_unique<RAdam>(std::move(parameters), adaptive_options(train_settings));
  if (name == "sgd") return std::make_unique<FusedSgd>(std::move(parameters), sgd_options(train_settings));
  throw UserError("train.optimiser: " + unknown_name_message("optimiser", name, {"adamw", "sgd", "adam", "radam"}));
}

void set_learning_rate(torch::optim::Optimizer& optimiser, double learning_rate) {
  for (auto& group : optimiser.param_groups()) group.options().set_lr(learning_rate);
}

void set_beta1(torch::optim::Optimizer& optimiser, double beta1) {
  for (auto& group : optimiser.param_groups()) {
    auto* options = dynamic_cast<torch::optim::AdamWOptions*>(&group.options());
    if (!options) throw std::invalid_argument("set_beta1: the optimiser has no beta1");
    options->betas({beta1, std::get<1>(options->betas())});
  }
}

double clip_gradient_norm(const std::vector<torch::Tensor>& parameters, double maximum) {
  const torch::NoGradGuard no_gradient;
  double squared = 0;
  for (const torch::Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    const double norm =
        torch::linalg_vector_norm(parameter.grad(), 2, std::nullopt, false, torch::kDouble).item<double>();
    squared += norm * norm;
  }
  const double norm = std::sqrt(squared);
  const double factor = maximum / (norm + 1e-6);
  if (maximum > 0 && factor < 1)
    for (const torch::Tensor& parameter : parameters)
      if (parameter.grad().defined()) parameter.mutable_grad().mul_(factor);
  return norm;
}

}  // namespace m3d
