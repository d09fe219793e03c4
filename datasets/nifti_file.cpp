#include "datasets/nifti_file.h"

#include <nifti1_io.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/log.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;
// sin of the angle by which an axis may be turned silently: half a voxel at the end of 50 voxels.
constexpr double kLargestShear = 0.01;

using NiftiPointer = std::unique_ptr<nifti_image, decltype(&nifti_image_free)>;
using GzPointer = std::unique_ptr<gzFile_s, decltype(&gzclose)>;

NiftiPointer read_header(const fs::path& file, bool with_voxels) {
  nifti_set_debug_level(0);
  return {nifti_image_read(file.c_str(), with_voxels), nifti_image_free};
}

GzPointer open_stream(const fs::path& file) {
  GzPointer stream(gzopen(file.c_str(), "rb"), gzclose);  // reads uncompressed files as they are
  if (!stream) throw UserError("cannot read " + file.string() + ": check its permissions");
  gzbuffer(stream.get(), kChunk);
  return stream;
}

bool has_nifti_magic(const fs::path& file) {
  nifti_1_header header;
  const GzPointer stream = open_stream(file);
  return gzread(stream.get(), &header, sizeof header) == static_cast<int>(sizeof header) &&
         std::string_view(header.magic, 3) == "n+1";
}

template <class T>
std::ptrdiff_t find_not_finite(const std::vector<char>& bytes, std::size_t used, bool swapped) {
  for (std::size_t at = 0; at + sizeof(T) <= used; at += sizeof(T)) {
    char voxel[sizeof(T)];
    std::copy_n(bytes.data() + at, sizeof(T), voxel);
    if (swapped) std::reverse(voxel, voxel + sizeof(T));
    if (!std::isfinite(std::bit_cast<T>(voxel))) return static_cast<std::ptrdiff_t>(at / sizeof(T));
  }
  return -1;
}

/// libnifti, and so ITK, puts 0 for NaN and infinite voxels without a word: they must be seen in the file itself.
void require_finite(const fs::path& file, const nifti_image& header, const std::vector<char>& bytes, std::size_t used,
                    std::uint64_t first_voxel) {
  const bool swapped = header.byteorder != nifti_short_order();
  std::ptrdiff_t found = -1;
  if (header.datatype == NIFTI_TYPE_FLOAT32) found = find_not_finite<float>(bytes, used, swapped);
  if (header.datatype == NIFTI_TYPE_FLOAT64) found = find_not_finite<double>(bytes, used, swapped);
  if (found < 0) return;
  const auto index = static_cast<std::int64_t>(first_voxel) + found;
  throw not_finite(file, index, {header.nz, header.ny, header.nx});
}

/// Reads the voxels to the end of the file; returns the file's size after decompression. Throws for a compressed stream
/// that is cut off or damaged, and for voxels that are not finite.
std::uint64_t check_voxels(const fs::path& file, const nifti_image& header) {
  const GzPointer stream = open_stream(file);
  std::vector<char> bytes(std::max(kChunk, static_cast<std::size_t>(header.iname_offset)));
  int count = gzread(stream.get(), bytes.data(), static_cast<unsigned>(header.iname_offset));
  std::uint64_t total = static_cast<std::uint64_t>(std::max(count, 0)), voxel_bytes = 0;
  while (count > 0 && (count = gzread(stream.get(), bytes.data(), kChunk)) > 0) {
    require_finite(file, header, bytes, static_cast<std::size_t>(count),
                   voxel_bytes / static_cast<std::uint64_t>(header.nbyper));
    total += static_cast<std::uint64_t>(count), voxel_bytes += static_cast<std::uint64_t>(count);
  }
  int code = Z_OK;
  gzerror(stream.get(), &code);
  if (code != Z_OK)
    throw UserError(file.string() + ": truncated or damaged (its compressed data ends or breaks after " +
                    std::to_string(total) + " bytes); copy or download the file again");
  return total;
}

void require_three_dimensions(const fs::path& file, const nifti_image& header) {
  std::string shape;
  bool volume = header.dim[0] >= 3;
  for (int i = 1; i <= header.dim[0]; ++i) {
    shape.append(i > 1 ? "x" : "").append(std::to_string(header.dim[i]));
    if (header.dim[i] < 1 || (i > 3 && header.dim[i] != 1)) volume = false;
  }
  if (!volume)
    throw UserError(file.string() + ": expected a 3D image, found " + shape +
                    " (x, y, z, …); split 4D images into one file a channel (_0000, _0001 …)");
}

NiftiPointer checked_header(const fs::path& file) {
  if (!fs::is_regular_file(file)) throw UserError("cannot read " + file.string() + ": no such file");
  NiftiPointer header(nullptr, nifti_image_free);
  if (has_nifti_magic(file)) header = read_header(file, false);
  if (!header || header->nifti_type != NIFTI_FTYPE_NIFTI1_1)
    throw UserError(file.string() +
                    ": not a NIfTI-1 image (or cut off within its header); convert it to .nii.gz, or copy it again");
  require_three_dimensions(file, *header);
  return header;
}

/// The nearest rotation (or rotation with reflection) to the columns of `axes`, by Higham's iteration of the polar
/// decomposition; libnifti's own would drop a reflection.
void make_orthogonal(double axes[3][3]) {
  for (int step = 0; step < 50; ++step) {
    double inverse_transposed[3][3], determinant = 0;
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 3; ++c)
        inverse_transposed[r][c] = axes[(r + 1) % 3][(c + 1) % 3] * axes[(r + 2) % 3][(c + 2) % 3] -
                                   axes[(r + 1) % 3][(c + 2) % 3] * axes[(r + 2) % 3][(c + 1) % 3];
    for (int c = 0; c < 3; ++c) determinant += axes[0][c] * inverse_transposed[0][c];
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 3; ++c) axes[r][c] = 0.5 * (axes[r][c] + inverse_transposed[r][c] / determinant);
  }
}

UserError unusable_axes(const fs::path& file) {
  return UserError(file.string() +
                   ": the header's axes are not at right angles (sheared by more than 0.6 degrees, or no volume at "
                   "all); resample the image to an orthogonal grid, or correct its sform");
}

/// Makes the axes of the header's sform orthogonal; returns the largest change of an axis (sine of its angle).
double straighten(const fs::path& file, nifti_image& image) {
  double axes[3][3], length[3], largest = 0;
  for (int c = 0; c < 3; ++c) {
    length[c] = std::hypot(image.sto_xyz.m[0][c], image.sto_xyz.m[1][c], image.sto_xyz.m[2][c]);
    if (!(length[c] > 0) || !std::isfinite(length[c])) throw unusable_axes(file);
    for (int r = 0; r < 3; ++r) axes[r][c] = image.sto_xyz.m[r][c] / length[c];
  }
  make_orthogonal(axes);
  for (int c = 0; c < 3; ++c) {
    double change = 0;
    for (int r = 0; r < 3; ++r) {
      change += std::pow(axes[r][c] - image.sto_xyz.m[r][c] / length[c], 2);
      image.sto_xyz.m[r][c] = static_cast<float>(axes[r][c] * length[c]);
    }
    if (!(change < 4)) throw unusable_axes(file);
    largest = std::max(largest, std::sqrt(change));
    image.pixdim[c + 1] = static_cast<float>(length[c]);
  }
  image.dx = image.pixdim[1], image.dy = image.pixdim[2], image.dz = image.pixdim[3];
  return largest;
}

}  // namespace

UserError not_finite(const fs::path& file, std::int64_t index, const Shape3& shape) {
  const auto [depth, height, width] = shape;
  return UserError(file.string() + ": voxel z=" + std::to_string(index / (height * width)) +
                   ", y=" + std::to_string(index / width % height) + ", x=" + std::to_string(index % width) +
                   " is NaN or infinite; correct the image or leave the case out");
}

void require_nifti_header(const fs::path& file) { checked_header(file); }

void require_whole_nifti(const fs::path& file) {
  const NiftiPointer header = checked_header(file);
  const std::uint64_t needed = static_cast<std::uint64_t>(header->iname_offset) +
                               static_cast<std::uint64_t>(header->nvox) * static_cast<std::uint64_t>(header->nbyper);
  const std::uint64_t found = check_voxels(file, *header);
  if (found < needed)
    throw UserError(file.string() + ": truncated: its header announces " + std::to_string(needed) + " bytes, " +
                    std::to_string(found) + " are there; copy or download the file again");
}

void with_orthogonal_axes(const fs::path& file, const std::function<void(const fs::path&)>& read) {
  const NiftiPointer image = read_header(file, true);
  if (!image || image->sform_code <= 0) throw unusable_axes(file);
  const double change = straighten(file, *image);
  if (change > kLargestShear) throw unusable_axes(file);
  log(LogLevel::warning, file.string() + ": the header's axes are not quite at right angles (" +
                             std::to_string(change * 180 / 3.14159265358979) +
                             " degrees); read with the nearest orthogonal ones");
  std::string name = (fs::temp_directory_path() / "m3d-XXXXXX.nii").string();
  const int descriptor = mkstemps(name.data(), 4);
  if (descriptor < 0) throw RunError("cannot write to " + fs::temp_directory_path().string());
  close(descriptor);
  const std::unique_ptr<const char, void (*)(const char*)> remover(name.c_str(),
                                                                   [](const char* path) { unlink(path); });
  nifti_set_filenames(image.get(), name.c_str(), 0, 1);
  nifti_image_write(image.get());
  read(name);
}

void compress_file(const fs::path& source, const fs::path& target) {
  std::ifstream input(source, std::ios::binary);
  GzPointer output(gzopen(target.c_str(), "wb1"), gzclose);
  if (!input || !output) throw RunError("cannot write " + target.string());
  gzbuffer(output.get(), kChunk);
  std::vector<char> chunk(kChunk);
  while (input.read(chunk.data(), kChunk), input.gcount() > 0)
    if (gzwrite(output.get(), chunk.data(), static_cast<unsigned>(input.gcount())) != input.gcount())
      throw RunError("cannot write " + target.string() + ": is the disk full?");
  if (gzclose(output.release()) != Z_OK) throw RunError("cannot write " + target.string() + ": is the disk full?");
}

}  // namespace m3d
