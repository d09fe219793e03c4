#pragma once
// A trained network and cases in, label maps out.
#include <filesystem>
#include <memory>
#include <vector>

#include "architectures/registry.h"
#include "datasets/preprocessing/preprocessing.h"
#include "suite/infer/next_stage.h"
#include "suite/train/settings.h"

namespace m3d {

/// What predictions of one run, or of an ensemble of runs that differ in fold or seed alone, have in common.
struct Predictor {
  std::vector<std::shared_ptr<Network>> networks;  // on `device`, with trained weights; the mean of their logits counts
  Dataset dataset;                                 // classes and channels
  Shape3 patch{};
  InferSettings settings;
  std::string device = "cpu", precision = "fp32";
  std::filesystem::path scratch_folder;  // for logits that memory does not hold

  /// In the case's own geometry. The networks are put into evaluation mode. `inputs` holds the case as each network's
  /// run prepares it, all on one grid; a single one is for all networks. Unless `probabilities` is empty they are
  /// written to that .npy file (probability_file.h). `next_stages` are filled: of a planned case, for a cascade. Throws
  /// RunError where a file cannot be written.
  LabelImage labels_of(const std::vector<std::shared_ptr<const PreparedCase>>& inputs,
                       const std::filesystem::path& probabilities = {},
                       std::span<NextStageLabels> next_stages = {}) const;
};

}  // namespace m3d
