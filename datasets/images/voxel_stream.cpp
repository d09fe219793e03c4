#include "datasets/images/voxel_stream.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <set>
#include <string>

#include "common/log.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kPart = std::size_t{1} << 16;  // voxels: two such parts stay in the second-level cache

std::string joined(std::span<const std::int64_t> sizes) {
  std::string text;
  for (const std::int64_t size : sizes) text.append(text.empty() ? "" : "x").append(std::to_string(size));
  return text;
}

void swap_bytes(std::span<std::byte> bytes, std::size_t size) {
  for (std::size_t at = 0; at + size <= bytes.size(); at += size)
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
}

/// As a sum over the exponents, which the compiler can vectorise; std::isfinite with an early end it cannot.
bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t exponent = 0x7f800000;
  std::uint32_t bad = 0;
  for (const float value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    bad |= static_cast<std::uint32_t>((bits & exponent) == exponent);
  }
  return bad == 0;
}

UserError not_finite(const fs::path& file, std::int64_t index, const Shape3& shape) {
  const auto [depth, height, width] = shape;
  const std::int64_t channel = index / (depth * height * width);
  return UserError(file.string() + ": voxel " + (channel > 0 ? "channel=" + std::to_string(channel) + ", " : "") +
                   "z=" + std::to_string(index / (height * width) % depth) +
                   ", y=" + std::to_string(index / width % height) + ", x=" + std::to_string(index % width) +
                   " is NaN or infinite; correct the image or leave the case out");
}

template <class T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <class T>
void to_float(const std::byte* stored, const Scaling& scaling, std::span<float> values) {
  // As ITK does it: whole numbers become float32 before they are scaled.
  using Unscaled = std::conditional_t<std::is_same_v<T, double>, double, float>;
  if (!scaling.changes()) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(load<T>(stored + i * sizeof(T)));
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scaled = static_cast<double>(static_cast<Unscaled>(load<T>(stored + i * sizeof(T)))) * scaling.slope;
    values[i] = static_cast<float>(scaled + scaling.intercept);
  }
}

}  // namespace

std::size_t size_of(VoxelType type) {
  switch (type) {
    case VoxelType::int8:
    case VoxelType::uint8:
      return 1;
    case VoxelType::int16:
    case VoxelType::uint16:
      return 2;
    case VoxelType::int32:
    case VoxelType::uint32:
    case VoxelType::float32:
      return 4;
    default:
      return 8;
  }
}

template <class T>
void VoxelConverter::convert_as(std::span<std::byte> bytes) {
  if (swapped_) swap_bytes(bytes, sizeof(T));
  std::array<float, kPart> values;
  for (std::size_t done = 0; done < bytes.size() / sizeof(T);) {
    const std::size_t count = std::min(kPart, bytes.size() / sizeof(T) - done);
    to_float<T>(bytes.data() + done * sizeof(T), scaling_, {values.data(), count});
    const std::span<const float> part(values.data(), count);
    if ((std::is_floating_point_v<T> || scaling_.changes()) && !all_finite(part)) {
      const auto bad = std::find_if(part.begin(), part.end(), [](float value) { return !std::isfinite(value); });
      throw not_finite(file_, passed_ + (bad - part.begin()), shape_);
    }
    sink_.take(part);
    passed_ += static_cast<std::int64_t>(count);
    done += count;
  }
}

void VoxelConverter::convert(std::span<std::byte> bytes) {
  switch (type_) {
    case VoxelType::int8:
      return convert_as<std::int8_t>(bytes);
    case VoxelType::uint8:
      return convert_as<std::uint8_t>(bytes);
    case VoxelType::int16:
      return convert_as<std::int16_t>(bytes);
    case VoxelType::uint16:
      return convert_as<std::uint16_t>(bytes);
    case VoxelType::int32:
      return convert_as<std::int32_t>(bytes);
    case VoxelType::uint32:
      return convert_as<std::uint32_t>(bytes);
    case VoxelType::int64:
      return convert_as<std::int64_t>(bytes);
    case VoxelType::uint64:
      return convert_as<std::uint64_t>(bytes);
    case VoxelType::float32:
      return convert_as<float>(bytes);
    case VoxelType::float64:
      return convert_as<double>(bytes);
  }
}

std::uint64_t checked_voxels(const fs::path& file, std::span<const std::int64_t> sizes) {
  std::uint64_t voxels = 1;
  bool sound = !sizes.empty();
  for (const std::int64_t size : sizes)
    sound = sound && size > 0 && size <= std::numeric_limits<std::int32_t>::max() &&
            !__builtin_mul_overflow(voxels, static_cast<std::uint64_t>(size), &voxels);
  if (!sound || voxels > (std::uint64_t{1} << 56))
    throw UserError(file.string() + ": its header announces an impossible size (" + joined(sizes) +
                    " along x, y, z, …); expected whole numbers above 0; convert or copy the file again");
  return voxels;
}

void require_spacing(const fs::path& file, std::span<const double> spacing) {
  for (const double length : spacing)
    if (!std::isfinite(length) || length <= 0) {
      char number[32];
      std::snprintf(number, sizeof number, "%g", length);
      throw UserError(file.string() + ": its header has a voxel spacing of " + number +
                      " mm; expected finite numbers above 0; correct the header (the true spacing cannot be guessed)");
    }
}

void warn_once(const fs::path& file, std::string_view message) {
  static std::mutex mutex;
  static std::set<std::string> said;
  std::string line = file.string() + ": " + std::string(message);
  const std::lock_guard lock(mutex);
  if (said.insert(line).second) log(LogLevel::warning, line);
}

}  // namespace m3d
