#include "suite/train/trainer.h"

#include <ATen/Context.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "common/random.h"
#include "suite/train/checkpoint.h"
#include "suite/train/device.h"
#include "suite/train/numeric_failure.h"
#include "suite/train/nvtx.h"
#include "suite/train/pseudo_dice.h"

namespace m3d {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Trainer {
 public:
  Trainer(Network& network, const TargetSpec& targets, const TrainingRecipe& recipe, std::filesystem::path folder,
          std::string title)
      : network_(network),
        targets_(targets),
        recipe_(recipe),
        folder_(std::move(folder)),
        title_(std::move(title)),
        device_(torch_device(recipe.device)),
        parameters_(network.parameters()),
        optimiser_(recipe.make_optimiser(parameters_)) {}

  TrainingResult run() {
    resume();
    BatchLoader loader(recipe_.draw, state_.step, recipe_.total_steps(), recipe_.workers);
    while (state_.step < recipe_.total_steps()) run_epoch(loader);
    // A recipe without epochs keeps the weights that it was given.
    if (recipe_.total_steps() == 0) save_checkpoint(checkpoint_file(), network_, *optimiser_, state_, recipe_.hash);
    double seconds = 0;
    for (const LogRow& row : state_.rows) seconds += row.seconds.value_or(0);
    return {state_.step, seconds};
  }

 private:
  void resume() {
    if (std::filesystem::exists(checkpoint_file())) {
      state_ = load_checkpoint(checkpoint_file(), network_, *optimiser_, recipe_.hash);
      recover_seconds(log_file(), state_.rows);
    }
    write_log(log_file(), state_.rows);
  }

  void run_epoch(BatchLoader& loader) {
    const NvtxRange range("epoch");
    const Clock::time_point start = Clock::now();
    do {
      run_step(loader);
      const bool epoch_ends = state_.step % recipe_.iterations_per_epoch == 0;
      if (epoch_ends) end_epoch(start);
      const bool due = recipe_.checkpoint_every_steps > 0 && state_.step % recipe_.checkpoint_every_steps == 0;
      const bool interrupted = interrupt_requested() && state_.step < recipe_.total_steps();
      if (epoch_ends || due || interrupted)
        save_checkpoint(checkpoint_file(), network_, *optimiser_, state_, recipe_.hash);
      if (interrupted) throw Interrupted();
    } while (state_.step % recipe_.iterations_per_epoch != 0);
  }

  void run_step(BatchLoader& loader) {
    const NvtxRange range("step");
    std::optional<NvtxRange> part(std::in_place, "load");
    const Batch batch = loader.next();
    const torch::Tensor image = image_tensor(batch).to(device_);
    const torch::Tensor target = target_tensor(batch, targets_).to(device_);
    network_.train();
    seed_step();
    part.emplace("forward");
    const std::vector<torch::Tensor> outputs = forward(image);
    part.emplace("loss");
    const torch::Tensor loss = recipe_.loss(outputs, target);
    const double loss_value = loss.item<double>();
    if (!std::isfinite(loss_value)) report_divergence("loss", image);
    part.emplace("backward");
    optimiser_->zero_grad();
    const bool scaled = recipe_.precision == "fp16";
    (scaled ? scaler_.scale(loss) : loss).backward();
    part.emplace("step");
    const bool finite = scaled ? scaler_.unscale(parameters_) : true;
    if (finite && !std::isfinite(recipe_.clip(parameters_))) report_divergence("gradient", image);
    if (finite) update_weights();
    if (scaled) scaler_.update(finite);
    // What overflows though the loss was made smaller than it is does not overflow because of the scale.
    if (state_.loss_scale.scale < 1) report_divergence("gradient", image);
    state_.epoch_loss += loss_value;
    ++state_.step;
    progress("training " + title_, state_.step, recipe_.total_steps());
  }

  /// Layers that draw random numbers (dropout) see a generator that depends on the step alone.
  void seed_step() const {
    torch::manual_seed(RandomStream(recipe_.seed, "torch", static_cast<std::uint64_t>(state_.step)).next());
  }

  std::vector<torch::Tensor> forward(const torch::Tensor& image) {
    const AutocastScope autocast(recipe_.device, recipe_.precision);
    std::vector<torch::Tensor> outputs = network_.forward(image);
    if (!recipe_.deep_supervision) outputs.resize(1);
    for (torch::Tensor& output : outputs) output = output.to(torch::kFloat32);
    return outputs;
  }

  void update_weights() {
    for (auto& group : optimiser_->param_groups()) group.options().set_lr(recipe_.learning_rate(state_.step));
    if (recipe_.before_update) recipe_.before_update(*optimiser_, state_.step);
    optimiser_->step();
  }

  [[noreturn]] void report_divergence(const std::string& what, const torch::Tensor& image) {
    std::string where;
    if (what == "gradient") {
      where = first_non_finite_gradient(network_);
    } else {
      seed_step();
      where = first_non_finite_output(network_, [&] { forward(image); });
    }
    throw Diverged("the " + what + " is not finite at step " + std::to_string(state_.step + 1) + "; first in " + where);
  }

  void end_epoch(Clock::time_point start) {
    LogRow row;
    row.epoch = static_cast<std::int64_t>(state_.rows.size()) + 1;
    row.step = state_.step;
    row.train_loss = state_.epoch_loss / static_cast<double>(recipe_.iterations_per_epoch);
    row.learning_rate = recipe_.learning_rate(state_.step - 1);
    state_.epoch_loss = 0;
    const bool due = row.epoch % recipe_.validation_every_epochs == 0 || row.epoch == recipe_.epochs;
    if (recipe_.validation_iterations > 0 && due) validate(row);
    row.seconds = seconds_since(start);
    state_.rows.push_back(row);
    write_log(log_file(), state_.rows);
  }

  void validate(LogRow& row) {
    const NvtxRange range("validation");
    const torch::NoGradGuard no_gradients;
    network_.eval();
    PseudoDice dice(targets_);
    double loss = 0;
    const std::int64_t first = (row.epoch - 1) * recipe_.validation_iterations;
    for (std::int64_t i = first; i < first + recipe_.validation_iterations; ++i) {
      const Batch batch = recipe_.draw_validation(i);
      const torch::Tensor target = target_tensor(batch, targets_).to(device_);
      const std::vector<torch::Tensor> outputs = forward(image_tensor(batch).to(device_));
      loss += recipe_.loss({outputs.front()}, target).item<double>();
      dice.add(outputs.front(), target);
    }
    if (std::isfinite(loss)) row.validation_loss = loss / static_cast<double>(recipe_.validation_iterations);
    row.pseudo_dice = dice.mean();
    keep_best(row);
  }

  /// best.pt is written before the checkpoint that counts it: a run killed between them finds the same best again.
  void keep_best(LogRow& row) {
    if (row.pseudo_dice)
      state_.ema_pseudo_dice =
          state_.ema_pseudo_dice ? 0.9 * *state_.ema_pseudo_dice + 0.1 * *row.pseudo_dice : *row.pseudo_dice;
    row.ema_pseudo_dice = state_.ema_pseudo_dice;
    if (!state_.ema_pseudo_dice) return;
    if (state_.best_ema_pseudo_dice && *state_.ema_pseudo_dice <= *state_.best_ema_pseudo_dice) return;
    state_.best_ema_pseudo_dice = state_.ema_pseudo_dice;
    save_weights(folder_ / "best.pt", network_);
  }

  std::filesystem::path checkpoint_file() const { return folder_ / "checkpoint.pt"; }
  std::filesystem::path log_file() const { return folder_ / "log.csv"; }

  Network& network_;
  const TargetSpec& targets_;
  const TrainingRecipe& recipe_;
  std::filesystem::path folder_;
  std::string title_;
  torch::Device device_;
  std::vector<torch::Tensor> parameters_;
  std::unique_ptr<torch::optim::Optimizer> optimiser_;
  TrainingState state_;
  LossScaler scaler_{state_.loss_scale};
};

}  // namespace

void make_deterministic(std::uint64_t seed) {
  at::globalContext().setDeterministicAlgorithms(true, false);
  // Nothing of ours reads memory before it is written; filling it first would only cost time.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  torch::manual_seed(seed);
}

TrainingResult train(Network& network, const TargetSpec& targets, const TrainingRecipe& recipe,
                     const std::filesystem::path& folder, const std::string& title) {
  require_device_and_precision(recipe.device, recipe.precision);
  make_deterministic(recipe.seed);
  network.to(torch_device(recipe.device));
  return Trainer(network, targets, recipe, folder, title).run();
}

}  // namespace m3d
