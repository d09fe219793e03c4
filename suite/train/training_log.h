#pragma once
// log.csv of a run folder: one row an epoch.
//
//   epoch            1 for the first
//   step             optimiser steps finished
//   train_loss       mean over the epoch's steps
//   validation_loss  mean over the validation patches, full-resolution output only; empty without validation (and in
//   the
//                    epochs between two validations, as the two columns of the pseudo-Dice)
//   learning_rate    of the epoch's last step
//   pseudo_dice      mean over classes of the Dice of all validation patches together (nnunet_conventions §9); empty
//                    where no class occurs
//   ema_pseudo_dice  0.9 * previous + 0.1 * pseudo_dice
//   seconds          the epoch's steps and validation, in the process that ended the epoch; empty where it is not known
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

struct LogRow {
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  double train_loss = 0;
  std::optional<double> validation_loss;
  double learning_rate = 0;
  std::optional<double> pseudo_dice;
  std::optional<double> ema_pseudo_dice;
  std::optional<double> seconds;
};

/// Writes all rows, atomically. Numbers are written so that they read back as the same bits.
void write_log(const std::filesystem::path& file, const std::vector<LogRow>& rows);

/// The seconds of the rows that `file` has for the same epochs go into `rows` (wall time is not part of a checkpoint,
/// so that checkpoints of equal runs are equal). A missing file changes nothing.
void recover_seconds(const std::filesystem::path& file, std::vector<LogRow>& rows);

/// Without `seconds`.
Json to_json(const LogRow& row);
LogRow log_row_from_json(const Json& json);

}  // namespace m3d
