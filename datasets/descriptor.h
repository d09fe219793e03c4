#pragma once
// Descriptors of the datasets that --dataset knows by name. Internal to this room; the public reader is
// dataset_descriptor() in dataset.h.
#include <filesystem>
#include <string>
#include <vector>

namespace m3d {

/// Whether a folder's name fits one of a descriptor's folder names, in which '?' stands for a digit.
bool matches_folder(const std::string& folder_name, const std::string& pattern);

/// The command-line name of the dataset to which a folder of this name belongs; empty when none claims it.
std::string descriptor_of_folder(const std::string& folder_name);

/// The folder name under which a dataset is looked for first.
std::string usual_folder(const std::string& name);

/// Folder names (patterns) of a dataset.
std::vector<std::string> folder_patterns(const std::string& name);

}  // namespace m3d
