#pragma once
// What ITK does not check or refuses: whole files, and headers whose sform is slightly sheared. Internal to
// image_io.cpp.
#include <filesystem>
#include <functional>

#include "common/error.h"
#include "datasets/image.h"

namespace m3d {

/// Throws UserError unless `file` exists and begins with the header of a single-file 3D NIfTI-1 image.
void require_nifti_header(const std::filesystem::path& file);

/// The same for the whole file, read to its end: truncation and damage are found by length and checksum, and NaN and
/// infinite voxels as they stand (ITK reads them as 0).
void require_whole_nifti(const std::filesystem::path& file);

/// The error for the voxel `index` (row-major in `shape`).
UserError not_finite(const std::filesystem::path& file, std::int64_t index, const Shape3& shape);

/// Calls `read` with an uncompressed temporary copy of `file` whose sform is the nearest one that has orthogonal axes
/// (same spacings, nearest rotation), and logs a warning. Throws UserError when that would turn an axis by more than
/// 0.6 degrees: such a volume needs resampling, which is not for a reader to do.
void with_orthogonal_axes(const std::filesystem::path& file,
                          const std::function<void(const std::filesystem::path&)>& read);

/// Compresses `source` into `target` (gzip, fastest level: noise gains nothing from higher ones).
void compress_file(const std::filesystem::path& source, const std::filesystem::path& target);

}  // namespace m3d
