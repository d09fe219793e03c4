#pragma once
// The data of a run: one fold of a dataset, prepared once for all runs that share it.
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ablations/run_config.h"
#include "architectures/registry.h"
#include "datasets/dataset.h"
#include "datasets/preprocessing.h"
#include "suite/train/settings.h"

namespace m3d {

class FoldData {
 public:
  /// Opens the dataset, cuts classes and cases to `settings` and takes the statistics of the training cases. Throws
  /// UserError for broken data.
  FoldData(const std::string& dataset, int fold, const DataSettings& settings, const DataRoots& roots);

  const Dataset& whole() const { return whole_; }      // as it lies on the disk
  const Dataset& dataset() const { return dataset_; }  // with the classes that are trained
  const Split& split() const { return split_; }
  const Fingerprint& fingerprint() const { return fingerprint_; }

  /// All training cases, kept in memory. Throws UserError when they would need more than half of it.
  const std::vector<std::shared_ptr<const PreparedCase>>& training();
  /// All validation cases, kept in memory like the training cases.
  const std::vector<std::shared_ptr<const PreparedCase>>& validation();
  /// One case of the dataset: the one in memory, else prepared anew.
  std::shared_ptr<const PreparedCase> prepared(const std::string& id);
  std::int64_t bytes() const { return bytes_; }

 private:
  void prepare_all(const std::vector<std::string>& ids, std::vector<std::shared_ptr<const PreparedCase>>& cases);

  Dataset whole_, dataset_;
  Split split_;
  Fingerprint fingerprint_;
  std::map<std::string, std::shared_ptr<const PreparedCase>> in_memory_;
  std::vector<std::shared_ptr<const PreparedCase>> training_, validation_;
  std::int64_t bytes_ = 0;
};

/// Keeps the folds that runs of this process asked for, the most recent ones when memory gets short.
class DataCache {
 public:
  explicit DataCache(DataRoots roots) : roots_(std::move(roots)) {}
  std::shared_ptr<FoldData> get(const RunConfig& config, const DataSettings& settings);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<FoldData> data;
  };
  DataRoots roots_;
  std::list<Entry> entries_;  // most recent first
};

/// What a run's network is built for: data.patch, else the median shape of the fold's training cases (from their
/// headers) clipped to 64 x 128 x 128; rounded up to the architecture's divisors.
NetworkInput network_input(const RunConfig& config, const DataSettings& settings, const Dataset& dataset,
                           const std::vector<std::string>& training_ids);

/// The first `maximum` (0: all) of the ids.
std::vector<std::string> first_ids(std::vector<std::string> ids, std::int64_t maximum);

}  // namespace m3d
