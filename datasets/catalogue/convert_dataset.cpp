#include "datasets/catalogue/convert_dataset.h"

#include <algorithm>
#include <memory>
#include <set>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/nearest_name.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/catalogue/dataset_location.h"
#include "datasets/catalogue/descriptor.h"
#include "datasets/converters/conversion.h"
#include "datasets/converters/source_folder.h"
#include "datasets/images/gzip_file.h"
#include "datasets/images/image_endings.h"
#include "datasets/parallel_cases.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kState = "conversion.json";  // what was converted; there from the beginning
constexpr const char* kEnding = ".nii.gz";

/// Where the files of a case go.
struct CaseTargets {
  std::vector<fs::path> channels;
  fs::path labels;
};

CaseTargets targets_of(const fs::path& folder, const ConvertedCase& one) {
  CaseTargets targets;
  const std::string part = one.test ? "Ts" : "Tr";
  for (std::size_t c = 0; c < one.channels.size(); ++c)
    targets.channels.push_back(folder / ("images" + part) / channel_file_name(one.id, c, kEnding));
  targets.labels = folder / ("labels" + part) / (one.id + kEnding);
  return targets;
}

/// There, and not a link to a file that has gone.
bool is_there(const fs::path& file) {
  std::error_code failure;
  return fs::is_regular_file(file, failure);
}

void link_or_copy(const fs::path& source, const fs::path& target, LinkMode mode) {
  const fs::path whole = fs::canonical(source);
  try {
    write_atomically(target, [&](const fs::path& temporary) {
      if (mode == LinkMode::symbolic) fs::create_symlink(whole, temporary);
      if (mode == LinkMode::hard) fs::create_hard_link(whole, temporary);
      if (mode == LinkMode::copy) fs::copy_file(whole, temporary, fs::copy_options::overwrite_existing);
    });
  } catch (const RunError& error) {
    if (mode != LinkMode::hard) throw;
    throw UserError(std::string(error.what()) + "; hard links need one file system: give --link symlink or copy");
  }
}

/// A volume that can be used as it is; an uncompressed one is compressed, since a dataset has one file ending.
void take_volume(const fs::path& source, const fs::path& target, LinkMode mode) {
  if (source.extension() == ".gz") return link_or_copy(source, target, mode);
  write_atomically(target, [&](const fs::path& temporary) { gzip_file(source, temporary); });
}

void take_channels(const ConvertedCase& one, const CaseTargets& targets, LinkMode mode) {
  std::vector<ImageF> components;
  for (std::size_t c = 0; c < one.channels.size(); ++c) {
    const auto& [file, component] = one.channels[c];
    if (is_there(targets.channels[c])) continue;
    if (component < 0) {
      take_volume(file, targets.channels[c], mode);
      continue;
    }
    if (components.empty()) components = read_channels(file);
    if (components.size() != one.channels.size())
      throw UserError(file.string() + ": expected " + std::to_string(one.channels.size()) +
                      " channels (dataset.json), found " + std::to_string(components.size()));
    write_image(targets.channels[c], components[static_cast<std::size_t>(component)]);
  }
}

LabelImage merged_masks(const ConvertedCase& one) {
  const fs::path& image = one.channels.front().file;
  LabelImage labels;
  labels.geometry = read_geometry(image);
  labels.voxels.assign(static_cast<std::size_t>(voxel_count(labels.shape())), 0);
  for (const auto& [value, file] : one.labels.masks) {
    if (!is_file(file)) continue;
    const ImageF mask = read_image(file);
    if (!same_geometry(mask.geometry, labels.geometry))
      throw UserError(file.string() + " and " + image.string() + " have different geometries:\n  " +
                      describe(mask.geometry) + "\n  " + describe(labels.geometry));
    for (std::size_t i = 0; i < mask.voxels.size(); ++i)
      if (mask.voxels[i] > 0) labels.voxels[i] = static_cast<std::int16_t>(value);
  }
  return labels;
}

LabelImage relabelled(const LabelSource& source) {
  LabelImage labels = read_labels(source.file);
  for (auto& value : labels.voxels)
    if (const auto change = source.relabel.find(value); change != source.relabel.end())
      value = static_cast<std::int16_t>(change->second);
  return labels;
}

void take_labels(const ConvertedCase& one, const fs::path& target, LinkMode mode) {
  if (one.labels.absent() || is_there(target)) return;
  if (!one.labels.masks.empty())
    write_labels(target, merged_masks(one));
  else if (!one.labels.relabel.empty())
    write_labels(target, relabelled(one.labels));
  else
    take_volume(one.labels.file, target, mode);
}

std::int64_t size_of(const fs::path& file) {
  std::error_code failure;
  const auto size = fs::file_size(file, failure);
  return failure ? 0 : static_cast<std::int64_t>(size);
}

/// Compressed files stay about as large when they are written anew; plain ones are counted as they are.
std::int64_t bytes_to_write(const ConvertedCase& one, const CaseTargets& targets, LinkMode mode) {
  const auto as_it_is = [&](const fs::path& file) {
    return file.extension() == ".gz" && mode != LinkMode::copy ? 0 : size_of(file);
  };
  std::int64_t bytes = 0;
  for (std::size_t c = 0; c < one.channels.size(); ++c) {
    if (is_there(targets.channels[c])) continue;
    const auto& [file, component] = one.channels[c];
    bytes += component < 0 ? as_it_is(file) : size_of(file) / static_cast<std::int64_t>(one.channels.size()) * 5 / 4;
  }
  if (is_there(targets.labels)) return bytes;
  for (const auto& [value, mask] : one.labels.masks) bytes += size_of(mask);
  if (!one.labels.file.empty())
    bytes += one.labels.relabel.empty() ? as_it_is(one.labels.file) : size_of(one.labels.file);
  return bytes;
}

/// A request looked up: what is to be converted, and where it goes.
struct Job {
  Json descriptor;
  Conversion conversion;
  fs::path root, folder;
  std::string name() const { return descriptor["name"]; }
};

Job job_of(const ConversionRequest& request) {
  const auto name = described_dataset(request.dataset);
  if (!name)
    throw UserError("--source needs the name of a dataset that this program can convert; " +
                    unknown_name_message("dataset", request.dataset, dataset_names()));
  const auto roots = searched_roots(request.roots);
  if (roots.empty()) throw UserError("no place for the converted dataset: give --data-root or set nnUNet_raw");
  Job job{dataset_descriptor(*name), {}, roots.front(), {}};
  job.conversion = plan_conversion(request.source, job.descriptor);
  const std::string folder = usual_folder(*name);
  if (folder.find('?') != std::string::npos) throw std::logic_error("descriptor: the first folder has no fixed id");
  job.folder = job.root / folder;
  return job;
}

Json state_of(const ConversionRequest& request, const Job& job) {
  return {{"dataset", job.name()},
          {"source", fs::weakly_canonical(request.source).string()},
          {"labels", job.descriptor["labels"]}};
}

/// A folder may be gone on with by what began it alone.
void require_same_state(const fs::path& folder, const Json& state) {
  const fs::path file = folder / kState;
  if (!fs::exists(file)) {
    if (fs::exists(folder / "dataset.json"))
      throw UserError(folder.string() +
                      " is there already and was not made by this program; use it without --source, " +
                      "or give another --data-root");
    return;
  }
  const Json found = read_json(file);
  for (const auto& [key, value] : state.items())
    if (!found.is_object() || !found.contains(key) || nlohmann::json(found[key]) != nlohmann::json(value))
      throw UserError(folder.string() + " was converted with another '" + key + "' (" + file.string() +
                      "); delete the folder or give another --data-root");
}

/// What a killed process left: the lock is ours.
void remove_temporary_files(const fs::path& folder) {
  for (const char* part : {"imagesTr", "labelsTr", "imagesTs", "labelsTs"}) {
    std::error_code absent;
    for (const auto& entry : fs::directory_iterator(folder / part, absent))
      if (entry.path().filename().string().starts_with(".tmp.")) fs::remove(entry.path());
  }
}

/// Files of cases that the source does not have would be taken for cases.
void require_no_others(const fs::path& folder, const Conversion& conversion) {
  std::set<fs::path> expected;
  for (const ConvertedCase& one : conversion.cases) {
    const CaseTargets targets = targets_of(folder, one);
    expected.insert(targets.channels.begin(), targets.channels.end());
    expected.insert(targets.labels);
  }
  for (const char* part : {"imagesTr", "labelsTr"}) {
    std::error_code absent;
    for (const auto& entry : fs::directory_iterator(folder / part, absent))
      if (!expected.contains(entry.path()))
        throw UserError(entry.path().string() + " belongs to no case of the source; remove it, or delete the folder " +
                        folder.string());
  }
}

Json dataset_json(const Job& job) {
  const Json& descriptor = job.descriptor;
  Json json = {{"channel_names", descriptor["channel_names"]}, {"labels", descriptor["labels"]}};
  json.update(job.conversion.overrides);
  json["numTraining"] = std::count_if(job.conversion.cases.begin(), job.conversion.cases.end(),
                                      [](const ConvertedCase& one) { return !one.test; });
  json["file_ending"] = kEnding;
  const std::string folder = job.folder.filename().string();
  json["name"] = folder.substr(folder.find('_') + 1);
  json["description"] = descriptor["title"];
  for (const char* key : {"reference", "release", "licence"})
    if (descriptor.contains(key)) json[key] = descriptor[key];
  json["converted_by"] = "m3d-bench";
  if (descriptor.contains("reader")) json["overwrite_image_reader_writer"] = descriptor["reader"];
  if (descriptor.contains("regions_class_order")) json["regions_class_order"] = descriptor["regions_class_order"];
  return json;
}

std::unique_ptr<FolderLock> lock(const fs::path& folder) {
  try {
    return std::make_unique<FolderLock>(folder);
  } catch (const FolderInUse&) {
    throw UserError(folder.string() +
                    " is being prepared by another process; wait until it ends and repeat the command");
  }
}

}  // namespace

ConversionOutlook look_at_conversion(const ConversionRequest& request) {
  const Job job = job_of(request);
  ConversionOutlook outlook;
  outlook.dataset = job.name();
  outlook.folder = job.folder;
  outlook.warnings = job.conversion.warnings;
  require_same_state(job.folder, state_of(request, job));
  for (const ConvertedCase& one : job.conversion.cases) {
    ++(one.test ? outlook.test : outlook.training);
    outlook.bytes += bytes_to_write(one, targets_of(job.folder, one), request.link);
    if (!one.test) outlook.first_channels.push_back(one.channels.front().file);
  }
  return outlook;
}

fs::path convert_dataset(const ConversionRequest& request) {
  const Job job = job_of(request);
  require_writable(job.root, "--data-root");
  const auto held = lock(job.folder);
  const Json state = state_of(request, job);
  require_same_state(job.folder, state);
  write_atomically(job.folder / kState, state.dump(1) + "\n");
  remove_temporary_files(job.folder);
  const auto& cases = job.conversion.cases;
  for_each_case(cases.size(), request.threads, "converting " + job.name(), [&](std::size_t i) {
    const CaseTargets targets = targets_of(job.folder, cases[i]);
    take_channels(cases[i], targets, request.link);
    take_labels(cases[i], targets.labels, request.link);
  });
  require_no_others(job.folder, job.conversion);
  if (job.conversion.splits.is_array() && !fs::exists(job.folder / "splits_final.json"))
    write_atomically(job.folder / "splits_final.json", job.conversion.splits.dump(1) + "\n");
  write_atomically(job.folder / "dataset.json", dataset_json(job).dump(1) + "\n");
  return job.folder;
}

bool is_raw_folder(const fs::path& folder) {
  const fs::path file = folder / "dataset.json";
  if (!is_file(file)) return false;
  const Json json = read_json(file);
  if (!json.is_object()) return false;
  const Json labels = json.value("labels", Json());
  return json.contains("channel_names") || (labels.is_object() && !labels.empty() && !labels.front().is_string());
}

bool is_unfinished_conversion(const fs::path& folder) {
  return fs::exists(folder / kState) && !fs::exists(folder / "dataset.json");
}

}  // namespace m3d
