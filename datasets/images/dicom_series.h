#pragma once
// A folder with the slices of one DICOM series, read through GDCM. Internal to the image readers.
#include <filesystem>

#include "datasets/images/voxel_stream.h"

namespace m3d {

/// Slices are put in order by their position in the patient, never by name; rescale slope and intercept are applied;
/// files that are no DICOM files are passed over. A folder with one multi-frame file is read as it is. Throws UserError
/// naming the folder and the slices for: no DICOM file, several series, slices that differ in size, spacing or
/// orientation, two at one place, gaps, unequal distances, and stacks that are not perpendicular to their slices
/// (gantry tilt).
void read_dicom_series(const std::filesystem::path& folder, VoxelSink& sink);

}  // namespace m3d
