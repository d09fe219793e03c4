#include "suite/run/run_data.h"

#include <unistd.h>

#include <algorithm>

#include "common/error.h"
#include "common/log.h"
#include "suite/profile/profile.h"
#include "suite/train/targets.h"

namespace m3d {
namespace {

constexpr Shape3 kLargestPatch{64, 128, 128};

/// Prepared cases may fill half of the machine's memory.
std::int64_t memory_bound() {
  return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::int64_t>(sysconf(_SC_PAGESIZE)) / 2;
}

std::int64_t bytes_of(const PreparedCase& prepared) {
  std::size_t bytes = prepared.image.size() * sizeof(float) + prepared.labels.size() * sizeof(std::int16_t);
  for (const auto& locations : prepared.class_locations) bytes += locations.size() * sizeof(std::int64_t);
  return static_cast<std::int64_t>(bytes);
}

const CaseFiles& files_of(const Dataset& dataset, const std::string& id) {
  const auto found = std::find_if(dataset.training.begin(), dataset.training.end(),
                                  [&](const CaseFiles& files) { return files.id == id; });
  if (found == dataset.training.end())
    throw UserError("the splits of '" + dataset.name + "' name a case '" + id + "' that " + dataset.folder.string() +
                    " does not have");
  return *found;
}

Shape3 median_shape(const Dataset& dataset, const std::vector<std::string>& ids) {
  Shape3 median{};
  std::vector<Shape3> shapes;
  for (const std::string& id : ids) shapes.push_back(read_geometry(files_of(dataset, id).channels.front()).shape);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::sort(shapes.begin(), shapes.end(), [axis](const Shape3& a, const Shape3& b) { return a[axis] < b[axis]; });
    median[axis] = shapes[shapes.size() / 2][axis];
  }
  return median;
}

Shape3 wanted_patch(const DataSettings& settings, const Dataset& dataset,
                    const std::vector<std::string>& training_ids) {
  if (settings.patch.size() == 3) return {settings.patch[0], settings.patch[1], settings.patch[2]};
  Shape3 patch = median_shape(dataset, training_ids);
  for (std::size_t axis = 0; axis < 3; ++axis) patch[axis] = std::min(patch[axis], kLargestPatch[axis]);
  return patch;
}

}  // namespace

std::vector<std::string> first_ids(std::vector<std::string> ids, std::int64_t maximum) {
  if (maximum > 0 && static_cast<std::size_t>(maximum) < ids.size()) ids.resize(static_cast<std::size_t>(maximum));
  return ids;
}

NetworkInput network_input(const RunConfig& config, const DataSettings& settings, const Dataset& dataset,
                           const std::vector<std::string>& training_ids) {
  const Architecture& architecture = find_architecture(config.architecture);
  const Shape3 patch = wanted_patch(settings, dataset, training_ids);
  return {static_cast<std::int64_t>(dataset.channel_names.size()), target_spec_of(dataset).channels(),
          round_up_to_divisors(patch, architecture, config.model)};
}

FoldData::FoldData(const std::string& dataset, int fold, const DataSettings& settings, const DataRoots& roots)
    : whole_(open_dataset(dataset, roots)), dataset_(with_first_classes(whole_, settings.max_classes)) {
  split_ = split_of(whole_, fold, settings.split);
  if (!split_.leaking_patients.empty())
    log(LogLevel::warning, "split '" + split_.name + "' of '" + whole_.name + "' has " +
                               std::to_string(split_.leaking_patients.size()) +
                               " patients on both sides: " + split_.leak);
  split_.training = first_ids(split_.training, settings.max_cases);
  split_.validation = first_ids(split_.validation, settings.max_validation_cases);
  for (const auto* ids : {&split_.training, &split_.validation})
    for (const std::string& id : *ids) files_of(whole_, id);
  fingerprint_ = fingerprint_of(whole_, split_.training);
}

std::shared_ptr<const PreparedCase> FoldData::prepared(const std::string& id) {
  const auto found = in_memory_.find(id);
  if (found != in_memory_.end()) return found->second;
  return std::make_shared<PreparedCase>(prepare_case(dataset_, fingerprint_, load_case(whole_, files_of(whole_, id))));
}

void FoldData::prepare_all(const std::vector<std::string>& ids,
                           std::vector<std::shared_ptr<const PreparedCase>>& cases) {
  if (cases.size() == ids.size()) return;
  cases.clear();
  for (const std::string& id : ids) {
    cases.push_back(prepared(id));
    if (in_memory_.emplace(id, cases.back()).second) bytes_ += bytes_of(*cases.back());
    progress("preparing " + dataset_.name, std::ssize(cases), std::ssize(ids));
    if (bytes_ > memory_bound())
      throw UserError("the prepared cases of '" + dataset_.name +
                      "' need more than half of this machine's memory; take "
                      "fewer with --set data.max_cases=" +
                      std::to_string(std::max<std::ptrdiff_t>(1, std::ssize(cases) / 2)));
  }
}

const std::vector<std::shared_ptr<const PreparedCase>>& FoldData::training() {
  prepare_all(split_.training, training_);
  return training_;
}

const std::vector<std::shared_ptr<const PreparedCase>>& FoldData::validation() {
  prepare_all(split_.validation, validation_);
  return validation_;
}

std::shared_ptr<FoldData> DataCache::get(const RunConfig& config, const DataSettings& settings) {
  const std::string key = config.dataset + "/" + std::to_string(config.fold) + "/" + settings.split + "/" +
                          std::to_string(settings.max_classes) + "/" + std::to_string(settings.max_cases) + "/" +
                          std::to_string(settings.max_validation_cases);
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().data;
  }
  entries_.push_front({key, std::make_shared<FoldData>(config.dataset, config.fold, settings, roots_)});
  std::int64_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.data->bytes();
  while (entries_.size() > 1 && bytes > memory_bound() / 2) {
    bytes -= entries_.back().data->bytes();
    entries_.pop_back();
  }
  return entries_.front().data;
}

}  // namespace m3d
