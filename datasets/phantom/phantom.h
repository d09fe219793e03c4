#pragma once
// Embedded datasets: synthetic heads ("phantom_mri") and torsos ("phantom_ct") with exact labels, made from a fixed
// anatomy seed, so that every suite runs without a download. Beside easy anatomy every case carries three controlled
// difficulties, reported as groups of classes of their own (datasets/descriptors/phantom_*.yaml):
//   long_range   four markers that look alike at the low end of the H axis; a marker is marker_a or marker_b by the
//                appearance of the beacon (not segmented) at the other end of its lane, 30 and more voxels away. Two
//                lanes of each kind in every case: nothing near a marker, and no statistic of the whole volume, tells.
//   multi_scale  spheres of one intensity in three sizes, the largest ten times as wide as the smallest.
//   direction    rods of one size and intensity along D, H or W.
// All rules are invariant to mirroring. Everything fits into a patch of 32×64×64 voxels.
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "common/strict_yaml.h"
#include "datasets/images/image.h"

namespace m3d {

/// {"phantom_ct", "phantom_mri"}
std::vector<std::string> phantom_names();

/// nnU-Net v2's dataset.json. Throws UserError for a name that is no phantom.
Json phantom_dataset_json(const std::string& name);

/// A marker of the long_range group and the beacon that decides its class; centres as voxel indices [D, H, W].
struct PhantomLane {
  std::string marker_class;
  std::array<double, 3> marker{}, beacon{};
};

/// Intensities are whole numbers (Hounsfield units in phantom_ct), as scanners store them.
struct PhantomCase {
  std::string id;
  std::vector<ImageF> channels;
  LabelImage labels;
  std::vector<PhantomLane> lanes;
};

/// Number of cases of a phantom (its "numTraining").
int phantom_case_count();

/// Case `index` (from 0) in memory; the same bits at every call.
PhantomCase make_phantom_case(const std::string& name, int index);

/// Writes the complete nnU-Net v2 raw dataset: dataset.json, imagesTr/<case>_CCCC.nii.gz, labelsTr/<case>.nii.gz.
/// The folder is created; the caller makes it appear atomically (temporary folder + rename).
void generate_phantom(const std::string& name, const std::filesystem::path& dataset_folder);

}  // namespace m3d
