#pragma once
#include <filesystem>

namespace m3d {

/// Compresses `source` into `target` (gzip, fastest level: noise gains nothing from higher ones). Throws RunError when
/// `target` cannot be written.
void gzip_file(const std::filesystem::path& source, const std::filesystem::path& target);

}  // namespace m3d
