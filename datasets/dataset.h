#pragma once
// An nnU-Net v2 raw dataset: what it holds and where. Source: nnunet_conventions.md §1.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/strict_yaml.h"
#include "datasets/image.h"

namespace m3d {

/// A structure to segment: one label value, or several where the dataset is region-based (BraTS's whole tumour).
struct LabelClass {
  std::string name;
  std::vector<int> values;
};

struct CaseFiles {
  std::string id;
  std::vector<std::filesystem::path> channels;
  std::filesystem::path labels;
};

struct Dataset {
  std::string name;                        // the command line's name, or the folder's
  std::filesystem::path folder;            // Dataset901_PhantomMRI
  std::vector<std::string> channel_names;  // "CT", "T1" …: they choose the normalisation
  std::vector<LabelClass> classes;         // without background and ignore; by value, regions as in dataset.json
  bool region_based = false;               // sigmoid per class instead of softmax over background + classes
  std::vector<int> regions_class_order;    // value painted for class i, in painting order (region-based only)
  std::optional<int> ignore_label;         // unlabelled voxels; prepared cases hold -1 there, batches 0
  std::map<std::string, std::vector<std::string>> groups;  // "anatomy" → class names; empty where none are named
  double nsd_tolerance_mm = 1.0;
  bool embedded = false;            // a phantom of ours
  std::vector<CaseFiles> training;  // sorted by id
};

/// Values that may occur in a label file of this dataset (background included).
std::vector<int> allowed_label_values(const Dataset& dataset);

/// Where raw data may lie. Empty paths are not searched.
struct DataRoots {
  std::filesystem::path data_root;  // --data-root
  std::filesystem::path output;     // --out: embedded datasets go to <output>/data where there is no other root
};

/// Names that --dataset knows, without folders and ids.
std::vector<std::string> dataset_names();
/// The descriptor (datasets/descriptors/<name>.yaml) as JSON: title, modality, licence, where to get it, groups.
Json dataset_descriptor(const std::string& name);

/// Opens a dataset by command-line name (generating an embedded one that is not there yet), nnU-Net id ("218"), folder
/// name ("Dataset218_…") or path. Checks dataset.json and that every listed case has all channels and its label.
/// Throws UserError: unknown name (nearest one), data absent (where to get it, where to put it, the command that
/// follows), broken or empty folder, missing channel file.
Dataset open_dataset(const std::string& name, const DataRoots& roots);

/// Metadata only, never generating or requiring data: classes, channels, groups, embedded. Where an embedded dataset
/// has not been generated or a real one is absent, `training` is empty. Used by --dry-run for embedded datasets.
Dataset describe_dataset(const std::string& name, const DataRoots& roots);

/// Reads one case: image channels and label, all of one geometry. Throws UserError for different geometries, label
/// values that dataset.json does not have, NaN or infinite voxels.
struct LoadedCase {
  std::string id;
  std::vector<ImageF> channels;
  LabelImage labels;  // empty voxels where the case has no label file
};
LoadedCase load_case(const Dataset& dataset, const CaseFiles& files);

/// Fold → (training ids, validation ids), as nnU-Net makes it (§12): KFold(5, shuffle, random_state 12345) over the
/// sorted ids; an existing splits_final.json (beside dataset.json, or in nnUNet_preprocessed) wins. `fold` -1 is
/// "everything": all cases on both sides. Throws UserError for a fold that does not exist.
struct Split {
  std::vector<std::string> training, validation;
};
Split split_of(const Dataset& dataset, int fold);

}  // namespace m3d
