#pragma once
// An nnU-Net v2 raw dataset: what it holds and where. Source: nnunet_conventions.md §1.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/strict_yaml.h"
#include "datasets/images/image.h"

namespace m3d {

/// A structure to segment: one label value, or several where the dataset is region-based (BraTS's whole tumour).
struct LabelClass {
  std::string name;
  std::vector<int> values;
  bool listed = false;  // dataset.json gives the values in a list, be it of one: nnU-Net's names of regions follow that
};

struct CaseFiles {
  std::string id;
  std::vector<std::filesystem::path> channels;
  std::filesystem::path labels;
};

/// How a dataset's cases are split for cross-validation, from its descriptor.
struct SplitRules {
  std::string patient;   // regular expression whose first group is the patient in a case id; empty: a case is a patient
  std::string standard;  // name of the split that is used unless another is asked for; empty: nnU-Net's
  Json named;            // name → rule (splits.h); null where there is none
};

struct Dataset {
  std::string name;                          // the command line's name, or the folder's
  std::filesystem::path folder;              // Dataset901_PhantomMRI
  std::vector<std::string> channel_names;    // "CT", "T1" …: they choose the normalisation
  std::vector<LabelClass> classes;           // without background and ignore; by value, regions as in dataset.json
  bool region_based = false;                 // sigmoid per class instead of softmax over background + classes
  std::vector<int> regions_class_order;      // value painted for class i, in painting order (region-based only)
  std::optional<int> ignore_label;           // of voxels that nobody annotated; prepared cases and batches hold it
  std::string image_reader = "SimpleITKIO";  // of nnU-Net; decides the axes of planned cases
  std::map<std::string, std::vector<std::string>> groups;  // "anatomy" → class names; empty where none are named
  double nsd_tolerance_mm = 1.0;
  SplitRules split_rules;
  bool embedded = false;            // a phantom of ours
  bool preprocessed_only = false;   // `folder` is nnU-Net's preprocessed one: cases have labels and no channels
  std::vector<CaseFiles> training;  // sorted by id
};

/// Values that may occur in a label file of this dataset (background included).
std::vector<int> allowed_label_values(const Dataset& dataset);

/// Where raw data may lie. Empty paths are not searched.
struct DataRoots {
  std::filesystem::path data_root;  // --data-root
  std::filesystem::path output;     // --out: embedded datasets go to <output>/data where there is no other root
};

/// Names that --dataset knows, without folders, ids and options.
std::vector<std::string> dataset_names();
/// The descriptor (datasets/descriptors/<name>.yaml) as JSON: title, modality, licence, where to get it, labels,
/// groups; with the options' values in place where the name has options ("totalseg_ct:version=v1,group=organs", or
/// "totalseg_ct-v1-organs", the form that is safe in paths and by which a Dataset is named).
Json dataset_descriptor(const std::string& name);

/// Opens a dataset by command-line name (generating an embedded one that is not there yet), nnU-Net id ("218"), folder
/// name ("Dataset218_…") or path; where no root has the raw data, $nnUNet_preprocessed may. Checks dataset.json and
/// that every listed case has all channels and its label. Throws UserError: unknown name (nearest one), data absent
/// (where to get it, where to put it, the command that follows), broken or empty folder, missing channel file.
Dataset open_dataset(const std::string& name, const DataRoots& roots);

/// Metadata only, never generating or requiring data: classes, channels, groups, embedded. Where an embedded dataset
/// has not been generated or a real one is absent, `training` is empty. Used by --dry-run for embedded datasets.
Dataset describe_dataset(const std::string& name, const DataRoots& roots);

/// Throws UserError, after `why`, where only a dataset's preprocessed folder is here.
void require_raw(const Dataset& dataset, const std::string& why);

/// Reads one case: image channels and label, all of one geometry. Throws UserError for different geometries, label
/// values that dataset.json does not have, NaN or infinite voxels.
struct LoadedCase {
  std::string id;
  std::vector<ImageF> channels;
  LabelImage labels;  // empty voxels where the case has no label file
};
LoadedCase load_case(const Dataset& dataset, const CaseFiles& files);

/// One fold: cases to train on and to validate with, each sorted.
struct Split {
  std::vector<std::string> training = {}, validation = {};
  std::string name = {};  // "nnunet", "patients", a name of the descriptor, "splits_final.json" or "everything"
  std::string hash = {};  // of the two lists
  std::vector<std::string> leaking_patients = {};  // on both sides, in a published split that is known for it
  std::string leak = {};                           // what that means, in words
};

/// Fold `fold` of the split called `name`. Empty name: an existing splits_final.json (beside dataset.json, or in
/// nnUNet_preprocessed), else the descriptor's standard split, else nnU-Net's (§12): KFold(5, shuffle, random_state
/// 12345) over the sorted ids, or over the patients where the descriptor tells them apart. `fold` -1 is "everything":
/// all cases on both sides. Throws UserError for a fold or name that does not exist, for fewer than five cases, and
/// when a patient is on both sides of a split that is not known for it.
Split split_of(const Dataset& dataset, int fold, const std::string& name = "");

/// Names that split_of takes for this dataset, with what they are.
std::vector<std::pair<std::string, std::string>> split_names(const Dataset& dataset);

}  // namespace m3d
