#pragma once
// Where a NIfTI image's voxels lie. Internal to nifti_file.cpp.
#include <filesystem>

#include "datasets/images/image.h"
#include "datasets/images/nifti_header.h"

namespace m3d {

/// The geometry that ITK 5.4 (SimpleITK 2.5, and so nnU-Net) gives the image: the spacing is always pixdim; the sform
/// is taken when its axes are at right angles (to 1e-4) and either it is the only form, or its code is 1 (scanner), or
/// both forms say the same; else the qform; without either, the identity. Images of one slice (two axes) get nnU-Net's
/// spacing across it, 999 times the larger one.
///
/// What ITK refuses, and what is unsound, is repaired with a warning where there is one way to: by the qform where it
/// is a rotation, else by the rotation nearest to the sform's axes if that turns none by more than 0.6 degrees. Throws
/// UserError otherwise. Also warns where sform and qform, or sform and pixdim, contradict each other.
Geometry nifti_geometry(const std::filesystem::path& file, const NiftiHeader& header);

}  // namespace m3d
