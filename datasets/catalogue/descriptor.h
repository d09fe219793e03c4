#pragma once
// Descriptors of the datasets that --dataset knows by name. Internal to this room; the public reader is
// dataset_descriptor() in dataset.h.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace m3d {

/// The canonical name of what was typed where a descriptor knows it: "totalseg_ct:version=v1,group=organs" and
/// "totalseg_ct-v1-organs" are both totalseg_ct-v1-organs (safe in a path; options at their defaults are left out).
/// Empty when no descriptor has the name before the options. Throws UserError for options and values that do not exist.
std::optional<std::string> canonical_dataset_name(const std::string& typed);

/// The same for an nnU-Net id ("227") and folder name too.
std::optional<std::string> described_dataset(const std::string& typed);

/// The names of a dataset with every combination of its options, the plain name first.
std::vector<std::string> dataset_variants(const std::string& name);

/// Whether a folder's name fits one of a descriptor's folder names, in which '?' stands for a digit.
bool matches_folder(const std::string& folder_name, const std::string& pattern);

/// The command-line name of the dataset to which a folder of this name belongs; empty when none claims it.
std::string descriptor_of_folder(const std::string& folder_name);

/// The folder name under which a dataset is looked for first; '?' stands for a digit that the user chooses.
std::string usual_folder(const std::string& name);

/// Folder names (patterns) of a dataset.
std::vector<std::string> folder_patterns(const std::string& name);

}  // namespace m3d
