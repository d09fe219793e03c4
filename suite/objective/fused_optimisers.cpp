#include "suite/objective/fused_optimisers.h"

#include "suite/objective/adam_state.h"
#include "suite/objective/optimiser_step.h"

namespace m3d {
namespace {

using Tensors = std::vector<torch::Tensor>;

/// The gradient laid out in memory as its parameter is, which the kernels take for granted.
torch::Tensor gradient_like(const torch::Tensor& parameter) {
  const torch::Tensor& gradient = parameter.grad();
  return gradient.strides() == parameter.strides() ? gradient : torch::empty_like(parameter).copy_(gradient);
}

/// What the kernels take of parameters with gradients.
struct Updates {
  Tensors parameters, gradients;
  void add(const torch::Tensor& parameter) {
    parameters.push_back(parameter);
    gradients.push_back(gradient_like(parameter));
  }
  /// So it is for shapes alone (device meta), whose states exist all the same.
  bool nothing_to_compute() const { return parameters.empty() || parameters.front().is_meta(); }
};

}  // namespace

FusedAdam::FusedAdam(std::vector<torch::Tensor> parameters, torch::optim::AdamWOptions options,
                     WeightDecay weight_decay)
    : torch::optim::AdamW(std::move(parameters), std::move(options)), weight_decay_(weight_decay) {}

torch::Tensor FusedAdam::step(LossClosure closure) {
  return step_of_groups(param_groups_, closure, [this](auto& options, const Tensors& parameters) {
    update(static_cast<const torch::optim::AdamWOptions&>(options), parameters);
  });
}

void FusedAdam::update(const torch::optim::AdamWOptions& options, const Tensors& parameters) {
  Updates updates;
  Tensors averages, squared_averages, steps;
  std::int64_t last_step = 0;  // parameters at the same step share its tensor, which the kernel reads alone
  for (const torch::Tensor& parameter : parameters) {
    torch::optim::AdamWParamState& state = adam_state(*this, parameter);
    state.step(state.step() + 1);
    updates.add(parameter);
    averages.push_back(state.exp_avg());
    squared_averages.push_back(state.exp_avg_sq());
    if (state.step() == last_step) {
      steps.push_back(steps.back());
    } else {
      last_step = state.step();
      steps.push_back(torch::full({}, static_cast<double>(last_step), parameter.options().dtype(torch::kFloat)));
    }
  }
  if (updates.nothing_to_compute()) return;
  const auto [beta1, beta2] = options.betas();
  using Kernel = void (*)(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                          at::TensorList, double, double, double, double, double, bool, bool,
                          const std::optional<at::Tensor>&, const std::optional<at::Tensor>&);
  const Kernel kernel = weight_decay_ == WeightDecay::decoupled ? static_cast<Kernel>(at::_fused_adamw_)
                                                                : static_cast<Kernel>(at::_fused_adam_);
  kernel(updates.parameters, updates.gradients, averages, squared_averages, {}, steps, options.lr(), beta1, beta2,
         options.weight_decay(), options.eps(), /*amsgrad=*/false, /*maximize=*/false, {}, {});
}

torch::Tensor FusedSgd::step(LossClosure closure) {
  return step_of_groups(param_groups_, closure, [this](auto& options, const Tensors& parameters) {
    update(static_cast<const torch::optim::SGDOptions&>(options), parameters);
  });
}

void FusedSgd::update(const torch::optim::SGDOptions& options, const Tensors& parameters) {
  Updates first, later;  // the first step fills a parameter's momentum
  Tensors first_momenta, later_momenta;
  for (const torch::Tensor& parameter : parameters) {
    if (options.momentum() == 0) {
      later.add(parameter);
      continue;
    }
    auto& entry = state_[parameter.unsafeGetTensorImpl()];
    const bool is_first = !entry;
    if (is_first) {
      auto state = std::make_unique<torch::optim::SGDParamState>();
      state->momentum_buffer(torch::empty_like(parameter));
      entry = std::move(state);
    }
    (is_first ? first : later).add(parameter);
    (is_first ? first_momenta : later_momenta)
        .push_back(static_cast<torch::optim::SGDParamState&>(*entry).momentum_buffer());
  }
  const auto run = [&](const Updates& updates, const Tensors& momenta, bool is_first) {
    if (updates.nothing_to_compute()) return;
    at::_fused_sgd_(updates.parameters, updates.gradients, momenta, options.weight_decay(), options.momentum(),
                    options.lr(), options.dampening(), options.nesterov(), /*maximize=*/false, is_first);
  };
  run(first, first_momenta, true);
  run(later, later_momenta, false);
}

}  // namespace m3d
