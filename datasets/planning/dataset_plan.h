#pragma once
// The plan of a dataset: the one that lies beside its preprocessed cases, else a new one. The order of nnU-Net v2:
// <nnUNet_preprocessed>/<DatasetXXX_Name>/{dataset_fingerprint.json,<plans name>.json}.
#include <filesystem>

#include "datasets/planning/planner.h"

namespace m3d {

/// <root>/<folder of the dataset>. The root is $nnUNet_preprocessed; without it, a folder nnUNet_preprocessed beside
/// the folder nnUNet_raw that holds the dataset, or within the holding folder where that has another name.
std::filesystem::path preprocessed_folder(const std::filesystem::path& dataset_folder);
std::filesystem::path preprocessed_folder(const Dataset& dataset);

/// The fingerprint in `folder`, else extracted from all cases and, where `folder` is not empty, written there.
Fingerprint dataset_fingerprint(const Dataset& dataset, const std::filesystem::path& folder);

/// Where dataset_plans keeps them.
std::filesystem::path plans_file(const std::filesystem::path& folder, Planner planner);
/// Removes fingerprint and plans, so that they are made anew.
void forget_plans(const std::filesystem::path& folder, Planner planner);

/// The plans in `folder`, else made from the dataset's fingerprint and, where `folder` is not empty, written there, by
/// one process at a time: others wait. Throws UserError where the folder cannot be written.
Plans dataset_plans(const Dataset& dataset, Planner planner, const std::filesystem::path& folder);

/// A plan from the headers alone, for estimates: as if no case had anything to crop.
Plans plans_of_headers(const Dataset& dataset, Planner planner);

}  // namespace m3d
