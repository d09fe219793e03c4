#pragma once
// The plan of a dataset: the one that lies beside its preprocessed cases, else a new one. The order of nnU-Net v2:
// $nnUNet_preprocessed/<DatasetXXX_Name>/{dataset_fingerprint.json,<plans name>.json}.
#include <filesystem>

#include "datasets/planner.h"

namespace m3d {

/// $nnUNet_preprocessed/<folder of the dataset>; empty where the variable is not set.
std::filesystem::path preprocessed_folder(const Dataset& dataset);

/// The fingerprint in `folder`, else extracted from all cases and, where `folder` is not empty, written there.
Fingerprint dataset_fingerprint(const Dataset& dataset, const std::filesystem::path& folder);

/// The plans in `folder`, else made from the dataset's fingerprint and, where `folder` is not empty, written there.
Plans dataset_plans(const Dataset& dataset, Planner planner, const std::filesystem::path& folder);

/// A plan from the headers alone, for estimates: as if no case had anything to crop.
Plans plans_of_headers(const Dataset& dataset, Planner planner);

}  // namespace m3d
