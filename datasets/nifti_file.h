#pragma once
// What ITK does not check or refuses: whole files, and headers whose sform is slightly sheared. Internal to image_io.cpp.
#include <filesystem>
#include <functional>

namespace m3d {

/// Throws UserError unless `file` exists and begins with the header of a single-file 3D NIfTI-1 image.
void require_nifti_header(const std::filesystem::path& file);

/// The same for the whole file: compressed files are read to their end, so that truncation and damage are found by
/// length and checksum (ITK stops at the last voxel and would not see them).
void require_whole_nifti(const std::filesystem::path& file);

/// Calls `read` with an uncompressed temporary copy of `file` whose sform is the nearest one that has orthogonal axes
/// (same spacings, nearest rotation), and logs a warning. Throws UserError when that would turn an axis by more than
/// 0.6 degrees: such a volume needs resampling, which is not for a reader to do.
void with_orthogonal_axes(const std::filesystem::path& file,
                          const std::function<void(const std::filesystem::path&)>& read);

/// Compresses `source` into `target` (gzip, fastest level: noise gains nothing from higher ones).
void compress_file(const std::filesystem::path& source, const std::filesystem::path& target);

}  // namespace m3d
