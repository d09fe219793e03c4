#pragma once
// nnU-Net v2's dataset_fingerprint.json (nnunet_conventions.md §2): over all training cases, voxels drawn with numpy's
// generator, statistics in float32.
#include <filesystem>
#include <functional>

#include "datasets/preprocessing/preprocessing.h"

namespace m3d {

/// Reads every case once, several at a time; needs 4 bytes for each of 1e8 drawn voxels a channel. `done` is called
/// after each case (from any thread, one at a time) with the number of finished ones; it may throw to stop. Throws
/// UserError for cases that cannot be read and for a dataset without a labelled voxel.
Fingerprint extract_fingerprint(const Dataset& dataset, const std::function<void(std::int64_t)>& done = {});

Json fingerprint_json(const Fingerprint& fingerprint);
/// Throws UserError for a file that is not a fingerprint.
Fingerprint read_fingerprint(const std::filesystem::path& file);

}  // namespace m3d
