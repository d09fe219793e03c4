// NIfTI-1 and NIfTI-2, in one file or a pair, of either byte order. Axes beyond the third are channels.
#include <algorithm>
#include <string>

#include "common/error.h"
#include "datasets/images/nifti_geometry.h"
#include "datasets/images/nifti_header.h"
#include "datasets/images/stored_volume.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

/// "a.hdr" and "a.img" (and their compressed forms) name one image.
fs::path partner(const fs::path& file, const char* from, const char* to) {
  std::string name = file.filename().string();
  const std::size_t at = name.rfind(from);
  if (at != std::string::npos) name.replace(at, 4, to);
  return file.parent_path() / name;
}

fs::path header_file(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with(".img") || name.ends_with(".img.gz") ? partner(file, ".img", ".hdr") : file;
}

/// The file with the voxels of a pair; compressed, where only that one exists.
fs::path voxel_file(const fs::path& header) {
  const fs::path image = partner(header, ".hdr", ".img");
  if (image == header)
    throw UserError(header.string() +
                    ": its header says that the voxels are in a file of their own; expected the pair "
                    "to be named .hdr and .img; rename or convert it");
  fs::path compressed = image;
  compressed += ".gz";
  std::error_code ignored;
  return !fs::exists(image, ignored) && fs::exists(compressed, ignored) ? compressed : image;
}

void require_one_more_axis(const fs::path& file, const NiftiHeader& header) {
  const auto longer = std::count_if(header.sizes.begin() + std::min<std::ptrdiff_t>(3, std::ssize(header.sizes)),
                                    header.sizes.end(), [](std::int64_t size) { return size > 1; });
  if (longer > 1)
    throw UserError(file.string() + ": has " + std::to_string(header.sizes.size()) +
                    " axes; expected at most one beyond x, y, z (the channels); split it into one file a channel");
}

}  // namespace

StoredVolume parse_nifti(const fs::path& file) {
  StoredVolume volume;
  volume.header_file = volume.voxel_file = header_file(file);
  ByteStream stream(volume.header_file);
  const NiftiHeader header = read_nifti_header(stream);
  if (header.pair) volume.voxel_file = voxel_file(volume.header_file);
  volume.geometry = nifti_geometry(volume.header_file, header);
  require_one_more_axis(volume.header_file, header);
  volume.sizes = header.sizes;
  volume.type = header.type;
  volume.swapped = header.swapped;
  volume.scaling = header.scaling;
  volume.first_voxel = header.first_voxel;
  return volume;
}

}  // namespace m3d
