#pragma once
// checkpoint.pt: everything that training needs to go on with the same bits; best.pt and model files: weights alone.
//
// The files are dictionaries in PyTorch's own format (torch.load reads them):
//   network_weights   name → tensor, parameters and buffers
//   optimiser_state   a LibTorch archive as bytes: the state of parameter i under "i" (checkpoint.pt only)
//   training_state    JSON text: step, epoch, log rows, best metric, loss scale, hash (checkpoint.pt only)
// Random numbers are counter-based, so that the step is their whole state. No wall time is inside: equal runs write
// equal files.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "architectures/registry.h"
#include "suite/train/loss_scaler.h"
#include "suite/train/training_log.h"

namespace m3d {

struct TrainingState {
  std::int64_t step = 0;  // finished steps
  double epoch_loss = 0;  // sum of the losses of the current epoch's finished steps
  std::optional<double> ema_pseudo_dice, best_ema_pseudo_dice;
  std::vector<LogRow> rows;  // finished epochs
  LossScale loss_scale;      // used with fp16 only
};

/// Atomically. `hash` identifies the run; loading checks it.
void save_checkpoint(const std::filesystem::path& file, const Network& network,
                     const torch::optim::Optimizer& optimiser, const TrainingState& state, const std::string& hash);

/// Fills network and optimiser (both built as in the run that saved). Throws RunError when the file is damaged or
/// belongs to another run, naming it and what to do.
TrainingState load_checkpoint(const std::filesystem::path& file, Network& network, torch::optim::Optimizer& optimiser,
                              const std::string& hash);

void save_weights(const std::filesystem::path& file, const Network& network);
/// From best.pt or checkpoint.pt. Throws RunError when the file is missing, damaged or of another network.
void load_weights(const std::filesystem::path& file, Network& network);

}  // namespace m3d
