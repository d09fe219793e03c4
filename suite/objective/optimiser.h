#pragma once
// Optimisers, learning-rate schedules and gradient clipping. Records of kind "optimiser".
// Settings are the "train" object of a run's settings; a key that is absent has the default written here.
#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

/// Keys: optimiser (adamw | sgd | adam | radam; default adamw), learning_rate (1e-3), weight_decay (0), momentum
/// (0.9, sgd), nesterov (true where momentum > 0, sgd), beta1 (0.9), beta2 (0.999), epsilon (1e-8). Weight decay is
/// decoupled for adamw and added to the gradient otherwise, as in PyTorch. torch::save and torch::load of the result
/// restore its state exactly. Throws UserError for an unknown optimiser.
std::unique_ptr<torch::optim::Optimizer> make_optimiser(const Json& train_settings,
                                                        std::vector<torch::Tensor> parameters);

/// The learning rate of step `step` (0 … total_steps - 1). Keys: learning_rate, schedule (poly | constant | linear |
/// cosine | one_cycle; default poly), schedule_by (epoch | step; default epoch: the rate changes at epoch starts only),
/// poly_power (0.9), warmup_steps (0; a linear rise from warmup_start_factor, 1/3, before the schedule begins),
/// minimum_learning_rate (0, cosine), cosine_period (0 = the whole run, in epochs or steps; after it the rate rises
/// again), one_cycle_rise (0.3), one_cycle_start_divisor (25), one_cycle_end_divisor (1e4; the last three as PyTorch's
/// OneCycleLR has them). Throws UserError for an unknown schedule.
double learning_rate_at(const Json& train_settings, std::int64_t step, std::int64_t total_steps,
                        std::int64_t steps_per_epoch);

/// beta1 of step `step` where the schedule is one_cycle and one_cycle_beta1 gives [lowest, highest]: it falls while the
/// learning rate rises, and back, as PyTorch's OneCycleLR moves it. Absent elsewhere: beta1 stays.
std::optional<double> beta1_at(const Json& train_settings, std::int64_t step, std::int64_t total_steps,
                               std::int64_t steps_per_epoch);

void set_learning_rate(torch::optim::Optimizer& optimiser, double learning_rate);
/// For Adam, AdamW and RAdam; throws std::invalid_argument for another optimiser.
void set_beta1(torch::optim::Optimizer& optimiser, double beta1);

/// Scales all gradients by maximum / (norm + 1e-6) where that is below 1 (nnU-Net §9; maximum <= 0 never scales).
/// Returns the norm over all gradients before that; not finite where a gradient is not.
double clip_gradient_norm(const std::vector<torch::Tensor>& parameters, double maximum);

}  // namespace m3d
