#pragma once
// How much disk preparing a dataset takes, before it is taken.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace m3d {

/// Bytes that preprocessed cases take at most: float32 channels and int16 labels at the median spacing, from the
/// headers of the cases' first channels; the crop to the non-zero region is measured on up to `sampled` of them.
/// Compression and the plan's anisotropy rule make it less.
std::int64_t preprocessed_bytes(const std::vector<std::filesystem::path>& first_channels, std::size_t channels,
                                std::size_t sampled = 3);

/// One place and what is to be written there.
struct DiskNeed {
  std::filesystem::path folder;  // need not exist yet
  std::int64_t bytes = 0;
  std::string what;  // "converted", "preprocessed"
};

/// "1.2 GiB".
std::string readable_bytes(std::int64_t bytes);

/// The needs in words, with what is free, one line each. Throws UserError when the needs on one file system together
/// exceed what is free there.
std::string require_disk(const std::vector<DiskNeed>& needs);

}  // namespace m3d
