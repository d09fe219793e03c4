#pragma once
// From what the user typed after --dataset to a folder. Internal to this room.
#include <filesystem>
#include <string>
#include <vector>

#include "datasets/catalogue/dataset.h"

namespace m3d {

/// Where a dataset is, or why it is nowhere.
struct DatasetLocation {
  std::string name;        // the descriptor's name; the folder's where no descriptor claims it
  bool described = false;  // `name` has a descriptor
  bool embedded = false;
  std::filesystem::path folder;  // empty: not there (only for described datasets)
};

/// The folder that an environment variable names; empty where it is not set.
std::filesystem::path folder_in_environment(const char* variable);

/// The roots that are searched, in order: --data-root, $nnUNet_raw, <output>/data.
std::vector<std::filesystem::path> searched_roots(const DataRoots& roots);

/// Throws UserError for an unknown name (nearest one), an id or folder that no root has, or an ambiguous id.
DatasetLocation locate_dataset(const std::string& typed, const DataRoots& roots);

/// Generates an embedded dataset in the first root and returns its folder: complete or absent, by one process at a
/// time; others wait for it. Throws UserError when the root cannot be written.
std::filesystem::path generate_embedded(const std::string& name, const DataRoots& roots);

/// The message for a described dataset that no root has: where to get it, where to put it, which command follows.
std::string absent_message(const std::string& name, const DataRoots& roots);

}  // namespace m3d
