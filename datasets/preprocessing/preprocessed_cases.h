#pragma once
// A dataset's cases under one configuration of its plans, on disk: nnU-Net v2's preprocessed folder
// (nnunet_conventions.md §1), which nnU-Net can train from, and which may be nnU-Net's own.
#include <filesystem>
#include <string>
#include <vector>

#include "datasets/preprocessing/planned_preprocessing.h"
#include "datasets/storage/case_store.h"

namespace m3d {

struct PreprocessingOptions {
  std::vector<std::string> ids = {};  // empty: all training cases
  int threads = 0;                    // at most; 0: one a processor. Never more cases at once than memory holds
  bool rebuild = false;               // replace what there is
};

/// Fills <folder>/<data identifier of the configuration> with those of the cases that are missing, and the files that
/// nnU-Net wants beside it (dataset.json, gt_segmentations, splits_final.json). One process at a time works on a
/// folder, others wait; what a killed one left is taken up. Returns one message for each case that cannot be used.
/// Throws UserError for cases of another plan (unless options.rebuild), for an incomplete folder of nnU-Net's own, for
/// a folder that cannot be written; RunError when the disk is full; Interrupted after a signal.
std::vector<std::string> preprocess_cases(const Dataset& dataset, const Plans& plans,
                                          const PlanConfiguration& configuration, const std::filesystem::path& folder,
                                          const PreprocessingOptions& options = {});

/// Those training cases whose files are not all there.
std::vector<CaseFiles> cases_to_preprocess(const Dataset& dataset, const PlanConfiguration& configuration,
                                           const std::filesystem::path& folder);

/// What is there. Throws as CaseStore does.
CaseStore preprocessed_cases(const Plans& plans, const PlanConfiguration& configuration,
                             const std::filesystem::path& folder);

/// A whole case of the store, with the way back to the grid of `file` (a channel or the label map).
PreparedCase load_preprocessed(const CaseStore& store, const std::string& id,
                               const std::vector<std::vector<int>>& classes, const Plans& plans,
                               const PlanConfiguration& configuration, const std::filesystem::path& file);

}  // namespace m3d
