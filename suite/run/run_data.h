#pragma once
// The data of a run: one fold of a dataset, prepared once for all runs that share it. At native spacing (no plan) cases
// are prepared in memory; by a plan they lie in nnU-Net's preprocessed folder, which is filled where it lacks them.
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ablations/run_config.h"
#include "architectures/registry.h"
#include "datasets/catalogue/dataset.h"
#include "datasets/preprocessing/preprocessing.h"
#include "datasets/sampling/patch_source.h"
#include "datasets/storage/case_store.h"
#include "suite/run/cascade.h"
#include "suite/run/run_plan.h"
#include "suite/train/settings.h"

namespace m3d {

class FoldData {
 public:
  using Sources = std::vector<std::shared_ptr<const PatchSource>>;

  /// Cuts classes and cases to `settings` and, without a plan, takes the statistics of the training cases. Throws
  /// UserError for broken data.
  FoldData(Dataset dataset, int fold, const DataSettings& settings, std::optional<RunPlan> plan);

  const Dataset& whole() const { return whole_; }      // as it lies on the disk
  const Dataset& dataset() const { return dataset_; }  // with the classes that are trained
  const Split& split() const { return split_; }
  const Fingerprint& fingerprint() const { return fingerprint_; }  // of the training cases; empty with a plan
  const std::optional<RunPlan>& plan() const { return plan_; }
  /// The second stage of a cascade: labels of the masks that follow the images' channels, and the hash of the first
  /// stage's segmentations; empty for other runs.
  const std::vector<int>& previous_stage_labels() const { return previous_labels_; }
  const std::string& previous_stage_hash() const { return previous_hash_; }
  /// By channel: whether it is normalised within the non-zero mask only.
  std::vector<bool> masked_channels() const;

  /// All training cases, to cut patches from. Throws UserError for cases that cannot be used, and where those without a
  /// plan need more than half of the memory.
  const Sources& training();
  /// All validation cases, as the training cases.
  const Sources& validation();
  /// One case of the split, whole.
  std::shared_ptr<const PreparedCase> prepared(const std::string& id);
  /// In memory.
  std::int64_t bytes() const { return bytes_; }

 private:
  void open_all(const std::vector<std::string>& ids, Sources& sources);
  std::shared_ptr<const PatchSource> keep_in_memory(const std::string& id);
  std::shared_ptr<const PatchSource> stored(const std::string& id);
  const CaseStore& store();
  void find_previous_stage(const DataSettings& settings);

  Dataset whole_, dataset_;
  Split split_;
  Fingerprint fingerprint_;
  std::optional<RunPlan> plan_;
  std::optional<CaseStore> store_;         // with a plan
  std::optional<PreviousStage> previous_;  // of a cascade
  std::vector<int> previous_labels_;
  std::string previous_hash_;
  std::vector<std::vector<int>> class_values_;
  std::map<std::string, std::shared_ptr<const PreparedCase>> in_memory_;
  Sources training_, validation_;
  std::int64_t bytes_ = 0;
};

/// Keeps the folds that runs of this process asked for, the most recent ones when memory gets short.
class DataCache {
 public:
  explicit DataCache(DataRoots roots) : roots_(std::move(roots)), plans_(RunPlans::Purpose::run) {}
  std::shared_ptr<FoldData> get(const RunConfig& config, const DataSettings& settings);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<FoldData> data;
  };
  DataRoots roots_;
  RunPlans plans_;
  std::list<Entry> entries_;  // most recent first
};

/// What a run's network is built from.
struct NetworkRequest {
  NetworkInput input;
  Json model;  // the run's options, with those that the plan decides (planned_model)
};

/// The patch is data.patch, else the plan's, else the median shape of the fold's training cases (from their headers)
/// clipped to 64 x 128 x 128; rounded up to the architecture's divisors. Throws UserError for a patch of one slice and
/// a network in 3D.
NetworkRequest network_request(const RunConfig& config, const DataSettings& settings, const Dataset& dataset,
                               const std::vector<std::string>& training_ids, const std::optional<RunPlan>& plan);

/// The first `maximum` (0: all) of the ids.
std::vector<std::string> first_ids(std::vector<std::string> ids, std::int64_t maximum);

}  // namespace m3d
