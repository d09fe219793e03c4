#include "datasets/images/stored_volume.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "common/error.h"
#include "datasets/images/direction.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;  // bytes; a multiple of every voxel's size

/// Decompresses the rest of a stream (zlib or gzip).
class Inflater {
 public:
  explicit Inflater(ByteStream& source) : source_(source), input_(kChunk) {
    if (inflateInit2(&state_, 15 + 32) != Z_OK) throw RunError("not enough memory to read " + source.file().string());
  }
  ~Inflater() { inflateEnd(&state_); }
  Inflater(const Inflater&) = delete;

  /// Fewer than `count` bytes only at the end of a whole stream.
  std::size_t read(std::byte* target, std::size_t count) {
    state_.next_out = reinterpret_cast<Bytef*>(target);
    state_.avail_out = static_cast<uInt>(count);
    while (state_.avail_out > 0 && !ended_) {
      if (state_.avail_in == 0) {
        state_.next_in = input_.data();
        state_.avail_in = static_cast<uInt>(source_.read(input_.data(), input_.size()));
      }
      const int code = state_.avail_in == 0 ? Z_DATA_ERROR : inflate(&state_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END)
        throw UserError(source_.file().string() + ": truncated or damaged (its compressed data end or break after " +
                        std::to_string(state_.total_out) + " bytes); copy or download the file again");
      ended_ = code == Z_STREAM_END;
    }
    return count - state_.avail_out;
  }

 private:
  ByteStream& source_;
  std::vector<Bytef> input_;
  z_stream state_{};
  bool ended_ = false;
};

UserError too_short(const fs::path& file, std::uint64_t needed) {
  return UserError(file.string() + ": truncated: its header announces " + std::to_string(needed) +
                   " bytes, more than are there; copy or download the file again");
}

void read_voxels(ByteStream& stream, const StoredVolume& volume, std::uint64_t bytes, VoxelSink& sink) {
  VoxelConverter converter(volume.voxel_file, volume.geometry, volume.type, volume.swapped, volume.scaling, sink);
  std::unique_ptr<Inflater> inflater;
  if (volume.deflated) inflater = std::make_unique<Inflater>(stream);
  std::vector<std::byte> chunk(std::min<std::uint64_t>(kChunk, bytes));
  for (std::uint64_t left = bytes; left > 0;) {
    const std::size_t part = std::min<std::uint64_t>(left, chunk.size());
    const std::size_t got = inflater ? inflater->read(chunk.data(), part) : stream.read(chunk.data(), part);
    if (got < part) throw too_short(volume.voxel_file, bytes);
    converter.convert({chunk.data(), part});
    left -= part;
  }
  if (inflater)
    while (inflater->read(chunk.data(), chunk.size()) == chunk.size()) {
    }
  else
    stream.finish();
}

/// Axes at right angles to this are left as they are; beyond, they are straightened.
constexpr double kUnnoticedDeviation = 1e-3;

void straighten(const fs::path& file, Matrix3& direction) {
  const bool finite =
      std::all_of(direction.begin(), direction.end(), [](double value) { return std::isfinite(value); });
  if (finite && deviation_from_orthonormal(direction) <= kUnnoticedDeviation) return;
  const Matrix3 straight =
      finite && std::abs(determinant(direction)) > 1e-3 ? nearest_orthonormal(direction) : Matrix3{};
  if (!(largest_turn(direction, straight) <= kLargestRepair))
    throw UserError(file.string() +
                    ": the header's axes are not at right angles (sheared by more than 0.6 degrees, of another length "
                    "than 1, or singular); resample the image to an orthogonal grid, or correct its direction");
  warn_once(file, "the header's axes are not quite at right angles; read with the nearest orthogonal ones");
  direction = straight;
}

}  // namespace

void read_stored_voxels(const StoredVolume& volume, VoxelSink& sink) {
  ByteStream stream(volume.voxel_file);
  const std::uint64_t voxels = checked_voxels(volume.header_file, volume.sizes), width = size_of(volume.type);
  const std::uint64_t bytes = voxels * width, gain = volume.deflated ? ByteStream::kLargestGain : 1;
  const std::uint64_t first =
      volume.at_end ? stream.upper_bound() - std::min(stream.upper_bound(), bytes) : volume.first_voxel;
  if (first > stream.upper_bound() || bytes / gain > stream.upper_bound() - first)
    throw too_short(volume.voxel_file, first + bytes);
  VolumeHeader header{volume.geometry, 1, 0};
  for (std::size_t i = 3; i < volume.sizes.size(); ++i) header.channels *= volume.sizes[i];
  const std::uint64_t credible = stream.credible_bytes() * (volume.deflated ? ByteStream::kUsualGain : 1);
  header.reserve_voxels = std::min(voxels, credible / width);
  if (!sink.begin(header)) return;
  stream.skip(first);
  read_voxels(stream, volume, bytes, sink);
}

Geometry checked_geometry(const fs::path& file, std::span<const std::int64_t> sizes, std::span<const double> spacing,
                          std::span<const double> origin, std::span<const double> direction) {
  Geometry geometry;
  const std::size_t all = sizes.size(), axes = std::min<std::size_t>(all, 3);
  require_spacing(file, spacing.first(axes));
  for (std::size_t i = 0; i < axes; ++i) {
    geometry.shape[2 - i] = sizes[i];
    geometry.spacing_mm[2 - i] = spacing[i];
    geometry.origin_mm[i] = origin[i];
    for (std::size_t j = 0; j < axes; ++j) geometry.direction[3 * i + j] = direction[all * i + j];
    if (!std::isfinite(origin[i]))
      throw UserError(file.string() + ": its header has an origin that is not finite; correct the header");
  }
  if (axes == 2) {
    geometry.shape[0] = 1;
    geometry.spacing_mm[0] = kFlatSpacing * std::max(geometry.spacing_mm[1], geometry.spacing_mm[2]);
  }
  straighten(file, geometry.direction);
  return geometry;
}

}  // namespace m3d
