#pragma once
// The bytes of a file that nobody vouches for, one after the other. Internal to the image readers.
#include <cstdint>
#include <filesystem>
#include <memory>

namespace m3d {

/// A regular file read from its beginning, decompressed on the way where it is gzip (told by its first bytes, whatever
/// its name). Nothing is held but a buffer of fixed size.
class ByteStream {
 public:
  static constexpr std::uint64_t kLargestGain = 1032;  ///< of deflate: 258 bytes for two bits
  static constexpr std::uint64_t kUsualGain = 16;      ///< more is seen in empty images only

  /// Throws UserError naming the file when it is missing, unreadable, empty, or no regular file (folders, pipes,
  /// devices and symbolic links in a circle are told apart; none of them is waited for).
  explicit ByteStream(const std::filesystem::path& file);

  /// Fills `target` with the next `count` bytes; returns how many there were, fewer only at the end. Throws UserError
  /// where compressed data are damaged or cut off.
  std::size_t read(void* target, std::size_t count);
  /// Passes over `count` bytes; fewer only at the end.
  void skip(std::uint64_t count);
  /// Reads on to the end, so that the checksum of compressed data is verified.
  void finish();

  /// No more bytes than this can be in the file: its size, times what gzip can gain at most where it is compressed.
  std::uint64_t upper_bound() const { return compressed_ ? stored_bytes_ * kLargestGain : stored_bytes_; }
  /// So many bytes may be reserved at a header's word alone; what is beyond must be seen first.
  std::uint64_t credible_bytes() const { return compressed_ ? stored_bytes_ * kUsualGain : stored_bytes_; }
  /// Bytes read so far.
  std::uint64_t position() const { return position_; }
  const std::filesystem::path& file() const { return file_; }

 private:
  struct Closer {
    void operator()(void* stream) const;
  };
  std::filesystem::path file_;
  std::unique_ptr<void, Closer> stream_;  // gzFile
  std::uint64_t stored_bytes_ = 0, position_ = 0;
  bool compressed_ = false;
};

}  // namespace m3d
