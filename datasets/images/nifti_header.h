#pragma once
// Headers of NIfTI-1 and NIfTI-2 files, of either byte order, as they occur. Internal to nifti_file.cpp.
// Layout: nifti1.h and nifti2.h of the NIfTI data format working group.
#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "datasets/images/byte_stream.h"
#include "datasets/images/voxel_stream.h"

namespace m3d {

struct NiftiHeader {
  int version = 1;
  bool pair = false;     ///< the voxels are in a file of their own (.hdr and .img)
  bool swapped = false;  ///< not in this machine's byte order
  std::vector<std::int64_t>
      sizes;  ///< along x, y, z, t, …: at least two, those at the end that are 1 left out beyond three
  VoxelType type = VoxelType::float32;
  Scaling scaling;
  std::uint64_t first_voxel = 0;           ///< bytes from the file's beginning
  std::array<double, 3> spacing{1, 1, 1};  ///< x, y, z, as stored
  double unit_mm = 1;                      ///< millimetres in a unit of length
  double handedness = 1;                   ///< qfac: 1 or -1
  int qform_code = 0, sform_code = 0;
  std::array<double, 3> quaternion{}, qform_offset{};  ///< b, c, d; x, y, z
  std::array<std::array<double, 4>, 3> sform{};
};

/// Reads and checks the header, leaving `stream` behind it. Throws UserError naming the file for anything that is no
/// NIfTI image of scalar voxels with sound sizes.
NiftiHeader read_nifti_header(ByteStream& stream);

}  // namespace m3d
