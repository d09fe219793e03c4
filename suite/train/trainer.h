#pragma once
// The training loop. What depends on data set, loss, optimiser or schedule comes in as values; nothing here asks which.
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "architectures/registry.h"
#include "suite/train/batch_loader.h"
#include "suite/train/targets.h"

namespace m3d {

struct TrainingRecipe {
  std::int64_t epochs = 1;
  std::int64_t iterations_per_epoch = 1;
  std::int64_t validation_iterations = 0;    // batches of a validation; 0: no validation and no best.pt
  std::int64_t validation_every_epochs = 1;  // and after the last epoch
  std::int64_t checkpoint_every_steps = 0;   // besides the end of each epoch; 0: never
  bool deep_supervision = true;              // false: the loss sees the full resolution only
  std::uint64_t seed = 0;
  std::string hash;  // identity of the run, kept in its checkpoints
  std::string device = "cpu";
  std::string precision = "fp32";

  DrawBatch draw;             // training batches by step; called from other threads
  std::int64_t workers = 1;   // threads that call it
  DrawBatch draw_validation;  // by epoch * validation_iterations + iteration
  std::function<torch::Tensor(const std::vector<torch::Tensor>& outputs, const torch::Tensor& target)> loss;
  std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::Tensor>)> make_optimiser;
  std::function<double(std::int64_t step)> learning_rate;
  /// What else of the optimiser follows the step (beta1 of a one-cycle schedule); may be empty.
  std::function<void(torch::optim::Optimizer&, std::int64_t step)> before_update;
  /// Scales gradients where they are too long; returns their norm, not finite where one of them is not.
  std::function<double(const std::vector<torch::Tensor>&)> clip;

  std::int64_t total_steps() const { return epochs * iterations_per_epoch; }
};

struct TrainingResult {
  std::int64_t steps = 0;
  double seconds = 0;  // sum of log.csv's seconds
};

/// Makes operators choose deterministic forms and fixes every generator of LibTorch. Called by train(); tests and
/// inference call it for the same bits.
void make_deterministic(std::uint64_t seed);

/// Trains `network` to the end of the recipe, from `folder`/checkpoint.pt where there is one. Writes checkpoint.pt,
/// best.pt and log.csv there. Equal runs end with equal bits, killed and continued at any point or not. Throws
/// Interrupted (state saved) after SIGINT, Diverged naming a module, RunError for a checkpoint that does not fit.
/// `title` is shown with the progress.
TrainingResult train(Network& network, const TargetSpec& targets, const TrainingRecipe& recipe,
                     const std::filesystem::path& folder, const std::string& title);

}  // namespace m3d
