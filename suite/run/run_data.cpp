#include "suite/run/run_data.h"

#include <unistd.h>

#include <algorithm>

#include "common/error.h"
#include "common/log.h"
#include "datasets/planning/dataset_plan.h"
#include "datasets/preprocessing/preprocessed_cases.h"
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

Shape3 wanted_patch(const DataSettings& settings, const Dataset& dataset, const std::vector<std::string>& training_ids,
                    const std::optional<RunPlan>& plan) {
  if (settings.patch.size() == 3) return {settings.patch[0], settings.patch[1], settings.patch[2]};
  if (plan) return plan->patch();
  require_raw(dataset, "data.plan is none");
  Shape3 patch = median_shape(dataset, training_ids);
  for (std::size_t axis = 0; axis < 3; ++axis) patch[axis] = std::min(patch[axis], kLargestPatch[axis]);
  return patch;
}

}  // namespace

std::vector<std::string> first_ids(std::vector<std::string> ids, std::int64_t maximum) {
  if (maximum > 0 && static_cast<std::size_t>(maximum) < ids.size()) ids.resize(static_cast<std::size_t>(maximum));
  return ids;
}

NetworkRequest network_request(const RunConfig& config, const DataSettings& settings, const Dataset& dataset,
                               const std::vector<std::string>& training_ids, const std::optional<RunPlan>& plan) {
  const Architecture& architecture = find_architecture(config.architecture);
  const Shape3 patch = wanted_patch(settings, dataset, training_ids, plan);
  if (patch[0] == 1 && architecture.divisors(config.model)[0] != 1)
    throw UserError("patches of one slice (" + Json(patch).dump() + ") are for networks that work slice by slice; '" +
                    architecture.name + "' is not one: take another --set data.configuration or data.patch");
  const Json model = plan ? planned_model(architecture, config.model, *plan, patch) : config.model;
  const NetworkInput input{input_channels(dataset, plan), target_spec_of(dataset).channels(),
                           round_up_to_divisors(patch, architecture, model)};
  return {input, model};
}

FoldData::FoldData(Dataset dataset, int fold, const DataSettings& settings, std::optional<RunPlan> plan)
    : whole_(std::move(dataset)), dataset_(with_first_classes(whole_, settings.max_classes)), plan_(std::move(plan)) {
  split_ = split_of(whole_, fold, settings.split);
  if (!split_.leaking_patients.empty())
    log(LogLevel::warning, "split '" + split_.name + "' of '" + whole_.name + "' has " +
                               std::to_string(split_.leaking_patients.size()) +
                               " patients on both sides: " + split_.leak);
  split_.training = first_ids(split_.training, settings.max_cases);
  split_.validation = first_ids(split_.validation, settings.max_validation_cases);
  for (const auto* ids : {&split_.training, &split_.validation})
    for (const std::string& id : *ids) files_of(whole_, id);
  for (const LabelClass& one : dataset_.classes) class_values_.push_back(one.values);
  if (!plan_) fingerprint_ = fingerprint_of(whole_, split_.training);
  find_previous_stage(settings);
}

void FoldData::find_previous_stage(const DataSettings& settings) {
  previous_labels_ = previous_labels(dataset_, plan_);
  if (previous_labels_.empty()) {
    if (settings.previous_stage.empty()) return;
    throw UserError("setting data.previous_stage is for the second stage of a cascade (data.configuration=" +
                    std::string("3d_cascade_fullres); this run is not one"));
  }
  previous_.emplace(settings.previous_stage, plan_->configuration);
  std::vector<std::string> ids = split_.training;
  ids.insert(ids.end(), split_.validation.begin(), split_.validation.end());
  previous_hash_ = previous_->hash(ids);
}

std::vector<bool> FoldData::masked_channels() const {
  return plan_ ? plan_->configuration.use_mask_for_norm : channels_normalised_inside(dataset_, fingerprint_);
}

std::shared_ptr<const PreparedCase> FoldData::prepared(const std::string& id) {
  const auto found = in_memory_.find(id);
  if (found != in_memory_.end()) return found->second;
  const CaseFiles& files = files_of(whole_, id);
  if (!plan_) return std::make_shared<PreparedCase>(prepare_case(dataset_, fingerprint_, load_case(whole_, files)));
  auto planned =
      std::make_shared<PreparedCase>(load_preprocessed(store(), id, class_values_, plan_->plans, plan_->configuration,
                                                       files.channels.empty() ? files.labels : files.channels.front()));
  if (previous_)
    append_masks(*planned, open_stage_segmentation(previous_->file(id), id, planned->shape).whole(), previous_labels_);
  return planned;
}

std::shared_ptr<const PatchSource> FoldData::stored(const std::string& id) {
  auto source = store().source(id, class_values_);
  if (!previous_) return source;
  return with_previous_stage(source, open_stage_segmentation(previous_->file(id), id, source->shape()));
}

const CaseStore& FoldData::store() {
  if (store_) return *store_;
  const std::filesystem::path folder = preprocessed_folder(whole_);
  PreprocessingOptions options{split_.training};
  options.ids.insert(options.ids.end(), split_.validation.begin(), split_.validation.end());
  const auto unusable = preprocess_cases(whole_, plan_->plans, plan_->configuration, folder, options);
  if (!unusable.empty())
    throw UserError(std::to_string(unusable.size()) + " cases of '" + whole_.name +
                    "' cannot be used, the first: " + unusable.front() + "; m3d-bench prepare lists them all");
  return store_.emplace(preprocessed_cases(plan_->plans, plan_->configuration, folder));
}

std::shared_ptr<const PatchSource> FoldData::keep_in_memory(const std::string& id) {
  const auto kept = prepared(id);
  if (in_memory_.emplace(id, kept).second) bytes_ += bytes_of(*kept);
  if (bytes_ > memory_bound())
    throw UserError("the prepared cases of '" + dataset_.name +
                    "' need more than half of this machine's memory; take fewer with --set data.max_cases=" +
                    std::to_string(std::max<std::size_t>(1, in_memory_.size() / 2)) +
                    ", or have them on disk with data.plan=plain");
  return in_memory_source(kept);
}

void FoldData::open_all(const std::vector<std::string>& ids, Sources& sources) {
  if (sources.size() == ids.size()) return;
  sources.clear();
  for (const std::string& id : ids) {
    sources.push_back(plan_ ? stored(id) : keep_in_memory(id));
    if (!plan_) progress("preparing " + dataset_.name, std::ssize(sources), std::ssize(ids));
  }
}

const FoldData::Sources& FoldData::training() {
  open_all(split_.training, training_);
  return training_;
}

const FoldData::Sources& FoldData::validation() {
  open_all(split_.validation, validation_);
  return validation_;
}

std::shared_ptr<FoldData> DataCache::get(const RunConfig& config, const DataSettings& settings) {
  const std::string key = config.dataset + "/" + std::to_string(config.fold) + "/" + settings.split + "/" +
                          std::to_string(settings.max_classes) + "/" + std::to_string(settings.max_cases) + "/" +
                          std::to_string(settings.max_validation_cases) + "/" + settings.plan + "/" +
                          settings.configuration + Json(settings.previous_stage).dump();
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().data;
  }
  Dataset dataset = open_dataset(config.dataset, roots_);
  std::optional<RunPlan> plan = plans_.get(settings, dataset);
  entries_.push_front({key, std::make_shared<FoldData>(std::move(dataset), config.fold, settings, std::move(plan))});
  std::int64_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.data->bytes();
  while (entries_.size() > 1 && bytes > memory_bound() / 2) {
    bytes -= entries_.back().data->bytes();
    entries_.pop_back();
  }
  return entries_.front().data;
}

}  // namespace m3d
