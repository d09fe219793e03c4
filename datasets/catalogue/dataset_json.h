#pragma once
// The content of an nnU-Net v2 dataset.json, checked. Internal to this room.
#include <optional>
#include <string>
#include <vector>

#include "datasets/catalogue/dataset.h"

namespace m3d {

struct DatasetJson {
  std::vector<std::string> channel_names;
  std::vector<LabelClass> classes;
  bool region_based = false;
  std::vector<int> regions_class_order;
  std::optional<int> ignore_label;
  std::string file_ending = ".nii.gz";
  std::optional<int> number_of_training_cases;
  std::string image_reader = "SimpleITKIO";  // overwrite_image_reader_writer
  Json cases;  // the optional list of files, "dataset": {case: {images, label}}; null where files are found by name
};

/// Checks `json`; `where` names it in messages. Throws UserError saying which key is wrong and what it should be.
DatasetJson parse_dataset_json(const Json& json, const std::string& where);

/// The same from a file; malformed JSON is a UserError with its line.
DatasetJson read_dataset_json(const std::filesystem::path& file);

/// Reads any JSON file; a UserError with file and line where it is malformed or has a key twice.
Json read_json(const std::filesystem::path& file);

}  // namespace m3d
