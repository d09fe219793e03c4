#include "datasets/preprocessing/preprocessed_cases.h"

#include <algorithm>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/hash.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "datasets/catalogue/splits.h"
#include "datasets/preprocessing/preparation_lock.h"
#include "datasets/preprocessing/preprocess_dataset.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

Json rule_json(const ResamplingRule& rule) {
  return {rule.order, rule.order_z, rule.force_separate_z ? Json(*rule.force_separate_z) : Json()};
}

/// Of everything in a plan that decides the arrays. Patch and batch size do not.
std::string arrays_hash(const Plans& plans, const PlanConfiguration& configuration) {
  Json normalisations = Json::array();
  for (const Normalisation one : configuration.normalisations) normalisations.push_back(normalisation_name(one));
  const Json decides = {{"image_reader", plans.image_reader()},
                        {"transpose", plans.transpose()},
                        {"intensities", intensities_json(plans.intensities())},
                        {"spacing", configuration.spacing},
                        {"normalisations", normalisations},
                        {"use_mask_for_norm", configuration.use_mask_for_norm},
                        {"image", rule_json(configuration.image)},
                        {"labels", rule_json(configuration.labels)}};
  return content_hash(decides.dump());
}

Shape3 chunked_for(const PlanConfiguration& configuration) {
  Shape3 patch{1, 1, 1};
  std::copy(configuration.patch_size.begin(), configuration.patch_size.end(),
            patch.end() - std::ssize(configuration.patch_size));
  return patch;
}

/// nnU-Net's name for the values that are not to be ignored: -1 and all labels.
std::vector<int> annotated_values(const Dataset& dataset) {
  std::vector<int> values{-1};
  for (const int value : allowed_label_values(dataset))
    if (value != dataset.ignore_label) values.push_back(value);
  return values;
}

CaseProperties properties_of(const Dataset& dataset, const Plans& plans, const PreparedCase& prepared) {
  CaseProperties properties;
  const AxisMap reader = reader_axes(plans.image_reader(), prepared.original, plans.where());
  const PlannedGrid& grid = prepared.planned.value();
  properties.original = prepared.original;
  properties.original.spacing_mm = permuted(prepared.original.spacing_mm, reader.order);
  if (plans.image_reader() == "NibabelIOWithReorient") properties.affines = nibabel_affines(prepared.original, reader);
  properties.shape_before_cropping = permuted(prepared.original.shape, grid.axes.order);
  properties.crop_begin = prepared.crop_begin;
  for (std::size_t axis = 0; axis < 3; ++axis)
    properties.crop_end[axis] = prepared.crop_begin[axis] + grid.cropped_shape[axis];
  for (const LabelClass& one : dataset.classes) properties.classes.push_back(one.values);
  properties.class_locations = prepared.class_locations;
  if (!dataset.ignore_label) return properties;
  properties.annotated = annotated_values(dataset);
  properties.annotated_locations = prepared.annotated_locations;
  return properties;
}

/// The label maps for nnU-Net's evaluation: links, and copies where the file system has no links.
void link_labels(const Dataset& dataset, const fs::path& folder) {
  fs::create_directories(folder);
  for (const CaseFiles& files : dataset.training) {
    const fs::path link = folder / files.labels.filename();
    if (fs::is_symlink(link) || fs::exists(link)) continue;
    std::error_code not_linked;
    fs::create_symlink(fs::absolute(files.labels), link, not_linked);
    if (not_linked) write_atomically(link, read_file(files.labels));
  }
}

/// nnU-Net's own folds are made at its first training; those of the dataset's standard are to be the same there and
/// here.
void write_splits(const Dataset& dataset, const fs::path& file) {
  if (fs::exists(file)) return;
  const Json folds = standard_splits_json(dataset);
  if (!folds.is_null()) write_atomically(file, folds.dump(4) + "\n");
}

void write_companions(const Dataset& dataset, const fs::path& folder) {
  if (!fs::exists(folder / "dataset.json"))
    write_atomically(folder / "dataset.json", read_file(dataset.folder / "dataset.json"));
  link_labels(dataset, folder / "gt_segmentations");
  write_splits(dataset, folder / "splits_final.json");
}

std::vector<CaseFiles> chosen_cases(const Dataset& dataset, const std::vector<std::string>& ids) {
  if (ids.empty()) return dataset.training;
  std::vector<CaseFiles> cases;
  for (const CaseFiles& files : dataset.training)
    if (std::find(ids.begin(), ids.end(), files.id) != ids.end()) cases.push_back(files);
  return cases;
}

std::optional<std::string> first_incomplete(const std::vector<CaseFiles>& cases, const fs::path& folder) {
  for (const CaseFiles& files : cases)
    if (!is_complete_case(folder, files.id)) return files.id;
  return {};
}

}  // namespace

std::vector<std::string> preprocess_cases(const Dataset& dataset, const Plans& plans,
                                          const PlanConfiguration& configuration, const fs::path& folder,
                                          const PreprocessingOptions& options) {
  const fs::path cases_folder = folder / configuration.data_identifier;
  const std::string hash = arrays_hash(plans, configuration);
  Dataset chosen = dataset;
  chosen.training = chosen_cases(dataset, options.ids);
  const auto is_done = [&] {
    const std::string found = plan_of_cases(cases_folder).value_or("none");
    if (options.rebuild || (found != hash && !found.empty())) return false;
    const auto missing = first_incomplete(chosen.training, cases_folder);
    if (missing && found.empty())
      throw UserError(cases_folder.string() + " is nnU-Net's own and lacks the case '" + *missing +
                      "': let nnUNetv2_preprocess complete it, or have it replaced by m3d-bench prepare --rebuild");
    return !missing;
  };
  if (is_done()) return {};
  require_raw(dataset, cases_folder.string() + " does not hold all cases");
  require_writable(folder, "nnUNet_preprocessed");
  const auto lock = lock_when_free(folder, "prepares " + dataset.name, is_done);
  if (!lock) return {};
  write_companions(dataset, folder);
  const CaseWriter writer(cases_folder, hash, chunked_for(configuration), options.rebuild);
  PreprocessingJob job;
  job.threads = options.threads;
  job.is_done = [&](const std::string& id) { return is_complete_case(cases_folder, id); };
  job.take = [&](const PreparedCase& prepared) { writer.write(prepared, properties_of(dataset, plans, prepared)); };
  job.progress = [&](std::int64_t done, std::int64_t total) {
    if (interrupt_requested()) throw Interrupted();
    progress("preprocessing " + dataset.name, static_cast<long>(done), static_cast<long>(total));
  };
  return preprocess_dataset(chosen, plans, configuration, job);
}

std::vector<CaseFiles> cases_to_preprocess(const Dataset& dataset, const PlanConfiguration& configuration,
                                           const fs::path& folder) {
  std::vector<CaseFiles> cases;
  for (const CaseFiles& files : dataset.training)
    if (!is_complete_case(folder / configuration.data_identifier, files.id)) cases.push_back(files);
  return cases;
}

CaseStore preprocessed_cases(const Plans& plans, const PlanConfiguration& configuration, const fs::path& folder) {
  return CaseStore(folder / configuration.data_identifier, arrays_hash(plans, configuration));
}

PreparedCase load_preprocessed(const CaseStore& store, const std::string& id,
                               const std::vector<std::vector<int>>& classes, const Plans& plans,
                               const PlanConfiguration& configuration, const fs::path& file) {
  const CaseProperties properties = store.properties(id);
  PreparedCase prepared = store.load(id, classes, properties);
  prepared.original = read_geometry(file);
  Shape3 cropped{};
  for (std::size_t axis = 0; axis < 3; ++axis) cropped[axis] = properties.crop_end[axis] - properties.crop_begin[axis];
  const PlannedGrid grid = planned_grid(plans, configuration, prepared.original, cropped);
  if (permuted(prepared.original.shape, grid.axes.order) != properties.shape_before_cropping ||
      shape_at_spacing(grid.cropped_shape, grid.cropped_spacing_mm, grid.spacing_mm) != prepared.shape)
    throw UserError(file.string() + ": its size is not that of the preprocessed case '" + id +
                    "'; the image has changed: m3d-bench prepare --rebuild prepares it anew");
  prepared.planned = grid;
  return prepared;
}

}  // namespace m3d
