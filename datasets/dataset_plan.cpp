#include "datasets/dataset_plan.h"

#include <cstdlib>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "datasets/dataset_fingerprint.h"
#include "datasets/planned_preprocessing.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

void write_json(const fs::path& file, const Json& json) { write_atomically(file, json.dump(4) + "\n"); }

}  // namespace

fs::path preprocessed_folder(const Dataset& dataset) {
  const char* root = std::getenv("nnUNet_preprocessed");
  if (root == nullptr || *root == '\0') return {};
  return fs::path(root) / dataset.folder.filename();
}

Fingerprint dataset_fingerprint(const Dataset& dataset, const fs::path& folder) {
  const fs::path file = folder / "dataset_fingerprint.json";
  if (!folder.empty() && fs::exists(file)) return read_fingerprint(file);
  const auto total = static_cast<long>(dataset.training.size());
  const Fingerprint fingerprint = extract_fingerprint(dataset, [&](std::int64_t done) {
    if (interrupt_requested()) throw Interrupted();
    progress("reading the fingerprint of " + dataset.name, static_cast<long>(done), total);
  });
  if (!folder.empty()) write_json(file, fingerprint_json(fingerprint));
  return fingerprint;
}

Plans dataset_plans(const Dataset& dataset, Planner planner, const fs::path& folder) {
  const fs::path file = folder / (plans_name(planner) + ".json");
  if (!folder.empty() && fs::exists(file)) return Plans::read(file);
  const Plans plans = plan_experiment(planning_facts(dataset), dataset_fingerprint(dataset, folder), planner);
  if (folder.empty()) return plans;
  write_json(file, plans.json());
  return Plans::read(file);
}

Plans plans_of_headers(const Dataset& dataset, Planner planner) {
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
