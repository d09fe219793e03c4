// GIPL (Guy's Image Processing Lab): a binary header of 256 bytes, big-endian, then the voxels. No direction.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string>

#include "common/error.h"
#include "datasets/images/stored_volume.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kBytes = 256;
constexpr std::uint32_t kMagic = 719555000, kOtherMagic = 4026526128U;

template <class T>
T big_endian(const std::array<char, kBytes>& bytes, std::size_t offset) {
  char field[sizeof(T)];
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), sizeof(T), field);
  if (std::endian::native == std::endian::little) std::reverse(field, field + sizeof(T));
  T value;
  std::memcpy(&value, field, sizeof value);
  return value;
}

std::optional<VoxelType> voxel_type(int code) {
  switch (code) {
    case 7:
      return VoxelType::int8;
    case 1:  // binary, a byte a voxel
    case 8:
      return VoxelType::uint8;
    case 15:
      return VoxelType::int16;
    case 16:
      return VoxelType::uint16;
    case 31:
      return VoxelType::uint32;
    case 32:
      return VoxelType::int32;
    case 64:
      return VoxelType::float32;
    case 65:
      return VoxelType::float64;
    default:
      return std::nullopt;
  }
}

}  // namespace

StoredVolume parse_gipl(const fs::path& file) {
  ByteStream stream(file);
  std::array<char, kBytes> bytes{};
  const bool whole = stream.read(bytes.data(), kBytes) == kBytes;
  const auto magic = big_endian<std::uint32_t>(bytes, 252);
  if (!whole || (magic != kMagic && magic != kOtherMagic))
    throw UserError(file.string() +
                    ": not a GIPL image (or cut off within its header); convert it to .nii.gz, or copy it again");
  StoredVolume volume;
  volume.header_file = volume.voxel_file = file;
  std::vector<double> spacing, origin;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto size = big_endian<std::uint16_t>(bytes, 2 * i);
    if (i > 1 && size <= (i == 3 ? 1 : 0)) break;
    volume.sizes.push_back(size);
    spacing.push_back(static_cast<double>(big_endian<float>(bytes, 10 + 4 * i)));
    origin.push_back(big_endian<double>(bytes, 204 + 8 * i));
  }
  checked_voxels(file, volume.sizes);
  const auto code = big_endian<std::uint16_t>(bytes, 8);
  const auto type = voxel_type(code);
  if (!type)
    throw UserError(file.string() + ": its voxels are of GIPL type " + std::to_string(code) +
                    "; expected whole or real numbers of 8 to 64 bits; convert the image to .nii.gz");
  volume.type = *type;
  volume.swapped = std::endian::native == std::endian::little;
  volume.first_voxel = kBytes;
  std::vector<double> direction(volume.sizes.size() * volume.sizes.size(), 0);
  for (std::size_t i = 0; i < volume.sizes.size(); ++i) direction[i * (volume.sizes.size() + 1)] = 1;
  volume.geometry = checked_geometry(file, volume.sizes, spacing, origin, direction);
  return volume;
}

}  // namespace m3d
