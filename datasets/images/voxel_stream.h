#pragma once
// What passes from the readers of the file formats to image_io.cpp. Internal to the image readers.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "common/error.h"
#include "datasets/images/image.h"

namespace m3d {

enum class VoxelType { int8, uint8, int16, uint16, int32, uint32, int64, uint64, float32, float64 };
/// In bytes.
std::size_t size_of(VoxelType type);

/// stored · slope + intercept, in float64.
struct Scaling {
  double slope = 1, intercept = 0;
  bool changes() const { return slope != 1 || intercept != 0; }
};

/// nnU-Net's spacing across an image of one slice (a file with two axes), in units of the larger one in its plane.
inline constexpr double kFlatSpacing = 999;

/// What a file's header says, checked: every size is at least 1, and the voxels fit into the file.
struct VolumeHeader {
  Geometry geometry;
  std::int64_t channels = 1;         ///< volumes one after the other; 1 for a 3D or 2D image
  std::uint64_t reserve_voxels = 0;  ///< room for so many may be taken before they have been seen
};

/// Takes a file's voxels in order ([channels, D, H, W], row-major), in parts.
class VoxelSink {
 public:
  virtual ~VoxelSink() = default;
  /// Called once, first. Returns whether the voxels are wanted.
  virtual bool begin(const VolumeHeader& header) = 0;
  virtual void take(std::span<const float> voxels) = 0;
};

/// Converts voxels as they lie in a file, checks them and passes them on. Throws UserError naming `file` and the voxel
/// for what is not finite as float32.
class VoxelConverter {
 public:
  VoxelConverter(const std::filesystem::path& file, const Geometry& geometry, VoxelType type, bool swapped,
                 Scaling scaling, VoxelSink& sink)
      : file_(file), shape_(geometry.shape), type_(type), swapped_(swapped), scaling_(scaling), sink_(sink) {}
  /// `bytes` must hold whole voxels. Their order may be changed in place.
  void convert(std::span<std::byte> bytes);

 private:
  template <class T>
  void convert_as(std::span<std::byte> bytes);

  std::filesystem::path file_;
  Shape3 shape_;
  VoxelType type_;
  bool swapped_;
  Scaling scaling_;
  VoxelSink& sink_;
  std::int64_t passed_ = 0;  // voxels
};

/// Voxels of a volume times its channels. Throws UserError where an axis is not 1 … 2^31-1 or the product, in bytes of
/// `type`, overflows; `sizes` (as the file has them) go into the message.
std::uint64_t checked_voxels(const std::filesystem::path& file, std::span<const std::int64_t> sizes);

/// Throws UserError unless every spacing is finite and above 0.
void require_spacing(const std::filesystem::path& file, std::span<const double> spacing);

/// Logs `message` once a file and process: headers are read several times.
void warn_once(const std::filesystem::path& file, std::string_view message);

}  // namespace m3d
