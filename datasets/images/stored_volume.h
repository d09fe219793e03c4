#pragma once
// The border between the parsers of headers and the reading of voxels. Internal to the image readers.
//
// Headers are parsed here and not by ITK, because ITK's parsers of these formats trust what they read (buffers of fixed
// size, allocation by the header's word); what the fields mean is ITK's (5.4), so that SimpleITK and nnU-Net see the
// same.
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "datasets/images/byte_stream.h"
#include "datasets/images/voxel_stream.h"

namespace m3d {

/// Where and how a header says the voxels are stored.
struct StoredVolume {
  std::filesystem::path header_file, voxel_file;
  Geometry geometry;
  std::vector<std::int64_t> sizes;  ///< along x, y, [z, [channels]]
  VoxelType type = VoxelType::float32;
  bool swapped = false;  ///< not in this machine's byte order
  Scaling scaling;
  std::uint64_t first_voxel = 0;  ///< bytes before the voxels
  bool at_end = false;            ///< the voxels are the file's last bytes, wherever they begin
  bool deflated = false;          ///< from first_voxel on a zlib or gzip stream (the file itself is none)
};

/// Each throws UserError naming the file for anything but one sound 2D, 3D or 4D image of real scalar voxels.
StoredVolume parse_nifti(const std::filesystem::path& file);
StoredVolume parse_metaimage(const std::filesystem::path& file);
StoredVolume parse_nrrd(const std::filesystem::path& file);
StoredVolume parse_gipl(const std::filesystem::path& file);

/// Hands header and voxels to `sink`, in one pass from the file's bytes to float32, holding no more than a small part
/// of them. Throws UserError where voxels are missing, damaged or not finite.
void read_stored_voxels(const StoredVolume& volume, VoxelSink& sink);

/// From spacing, origin and direction (row-major, columns are axes) along the file's axes x, y, [z, …], ITK's meaning.
/// Checks them, straightens axes that are almost at right angles (with a warning), and gives images with two axes
/// nnU-Net's spacing across the slice. Throws UserError naming `file`.
Geometry checked_geometry(const std::filesystem::path& file, std::span<const std::int64_t> sizes,
                          std::span<const double> spacing, std::span<const double> origin,
                          std::span<const double> direction);

}  // namespace m3d
