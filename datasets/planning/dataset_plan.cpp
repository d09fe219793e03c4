#include "datasets/planning/dataset_plan.h"

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "datasets/catalogue/dataset_location.h"
#include "datasets/planning/dataset_fingerprint.h"
#include "datasets/preprocessing/planned_preprocessing.h"
#include "datasets/preprocessing/preparation_lock.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFingerprint = "dataset_fingerprint.json";
constexpr const char* kPreprocessed = "nnUNet_preprocessed";

void write_json(const fs::path& file, const Json& json) { write_atomically(file, json.dump(4) + "\n"); }

Fingerprint known_fingerprint(const Dataset& dataset, const fs::path& file) {
  Fingerprint fingerprint = read_fingerprint(file);
  if (fingerprint.cropped_shapes.size() != dataset.training.size())
    log(LogLevel::warning, file.string() + " was taken of " + std::to_string(fingerprint.cropped_shapes.size()) +
                               " cases and the dataset has " + std::to_string(dataset.training.size()) +
                               " now; m3d-bench prepare --rebuild takes it anew");
  return fingerprint;
}

}  // namespace

fs::path preprocessed_folder(const fs::path& dataset_folder) {
  const fs::path folder = (fs::absolute(dataset_folder) / "").lexically_normal().parent_path();
  if (const fs::path root = folder_in_environment(kPreprocessed); !root.empty()) return root / folder.filename();
  const fs::path raw = folder.parent_path();
  return (raw.filename() == "nnUNet_raw" ? raw.parent_path() : raw) / kPreprocessed / folder.filename();
}

fs::path preprocessed_folder(const Dataset& dataset) {
  return dataset.preprocessed_only ? dataset.folder : preprocessed_folder(dataset.folder);
}

Fingerprint dataset_fingerprint(const Dataset& dataset, const fs::path& folder) {
  const fs::path file = folder / kFingerprint;
  if (!folder.empty() && fs::exists(file)) return known_fingerprint(dataset, file);
  const auto total = static_cast<long>(dataset.training.size());
  const Fingerprint fingerprint = extract_fingerprint(dataset, [&](std::int64_t done) {
    if (interrupt_requested()) throw Interrupted();
    progress("reading the fingerprint of " + dataset.name, static_cast<long>(done), total);
  });
  if (!folder.empty()) write_json(file, fingerprint_json(fingerprint));
  return fingerprint;
}

fs::path plans_file(const fs::path& folder, Planner planner) { return folder / (plans_name(planner) + ".json"); }

void forget_plans(const fs::path& folder, Planner planner) {
  fs::remove(folder / kFingerprint);
  fs::remove(plans_file(folder, planner));
}

Plans dataset_plans(const Dataset& dataset, Planner planner, const fs::path& folder) {
  const fs::path file = plans_file(folder, planner);
  if (!folder.empty() && fs::exists(file)) return Plans::read(file);
  require_raw(dataset, "there is no " + file.string());
  if (folder.empty()) return plan_experiment(planning_facts(dataset), dataset_fingerprint(dataset, {}), planner);
  require_writable(folder, kPreprocessed);
  const auto lock = lock_when_free(folder, "prepares " + dataset.name, [&] { return fs::exists(file); });
  if (lock)
    write_json(file, plan_experiment(planning_facts(dataset), dataset_fingerprint(dataset, folder), planner).json());
  return Plans::read(file);
}

Plans plans_of_headers(const Dataset& dataset, Planner planner) {
  require_raw(dataset, "there is no " + plans_file(dataset.folder, planner).string());
  Fingerprint fingerprint;
  fingerprint.channels.resize(dataset.channel_names.size());
  for (const CaseFiles& files : dataset.training) {
    const Geometry geometry = read_geometry(files.channels.front());
    const AxisMap axes = reader_axes(dataset.image_reader, geometry, "dataset.json of " + dataset.name);
    fingerprint.cropped_shapes.push_back(permuted(geometry.shape, axes.order));
    fingerprint.spacings_mm.push_back(permuted(geometry.spacing_mm, axes.order));
  }
  return plan_experiment(planning_facts(dataset), fingerprint, planner);
}

}  // namespace m3d
