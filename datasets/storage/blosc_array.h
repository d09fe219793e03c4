#pragma once
// Arrays [C, D, H, W] and [D, H, W] in C-Blosc2's .b2nd files, as python-blosc2 writes and reads them. Internal to this
// room.
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace m3d {

using Shape4 = std::array<std::int64_t, 4>;

/// How an array is cut: chunks are compressed apart, blocks within a chunk are decompressed apart.
struct BloscLayout {
  Shape4 chunk{}, block{};
};

/// nnU-Net 2.8.1's choice for an array [C, D, H, W] that is read in patches of about `patch`: blocks of at most 128
/// KiB, chunks of at most 6 MiB, both in the proportions of the image and at most one and a half patches long.
BloscLayout blosc_layout(const Shape4& shape, const std::array<std::int64_t, 3>& patch, std::int64_t bytes_per_value);

/// Writes a file with LZ4, level 5, its bytes shuffled where that makes it smaller. Not atomic. Throws RunError.
void write_blosc(const std::filesystem::path& file, std::span<const float> values, const Shape4& shape,
                 const BloscLayout& layout);
void write_blosc(const std::filesystem::path& file, std::span<const std::int16_t> values, const Shape4& shape,
                 const BloscLayout& layout);

/// The same without the axis of channels: the file holds [D, H, W]; `shape` and `layout` have one channel.
void write_blosc_volume(const std::filesystem::path& file, std::span<const std::uint8_t> values, const Shape4& shape,
                        const BloscLayout& layout);
void write_blosc_volume(const std::filesystem::path& file, std::span<const std::uint16_t> values, const Shape4& shape,
                        const BloscLayout& layout);

/// A file opened for reading (mapped into memory). One thread at a time.
class BloscArray {
 public:
  /// Throws RunError naming the file: missing, cut off, no .b2nd, sizes that are not those of its chunks, neither
  /// [C, D, H, W] nor [D, H, W].
  explicit BloscArray(const std::filesystem::path& file);
  ~BloscArray();
  BloscArray(const BloscArray&) = delete;
  BloscArray& operator=(const BloscArray&) = delete;

  /// One channel where the file has no such axis.
  const Shape4& shape() const { return shape_; }
  /// numpy's name of the type: "<f4", "<i2", "|i1".
  const std::string& type() const { return type_; }

  /// Decompresses the blocks that the box [begin, begin + size) touches, into an array of `size` of the file's type.
  void read(const Shape4& begin, const Shape4& size, void* target) const;

 private:
  struct Handle;
  std::filesystem::path file_;
  std::unique_ptr<Handle> handle_;
  std::size_t axes_ = 4;
  Shape4 shape_{};
  std::string type_;
};

}  // namespace m3d
