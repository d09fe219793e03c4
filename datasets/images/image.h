#pragma once
// Volumes with their geometry. No ITK here.
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace m3d {

/// Sizes along [D, H, W] (slowest to fastest axis: z, y, x of the file).
using Shape3 = std::array<std::int64_t, 3>;

inline std::int64_t voxel_count(const Shape3& shape) { return shape[0] * shape[1] * shape[2]; }

/// Where the voxels lie. `spacing_mm` is along [D, H, W]; `origin_mm` (x, y, z) and `direction` (3×3 row-major, columns
/// are the directions of the x, y, z index axes) are ITK's, in the LPS frame.
struct Geometry {
  Shape3 shape{};
  std::array<double, 3> spacing_mm{1, 1, 1};
  std::array<double, 3> origin_mm{0, 0, 0};
  std::array<double, 9> direction{1, 0, 0, 0, 1, 0, 0, 0, 1};
};

/// Same shape, and spacing and origin equal within 1e-3 mm, direction cosines within 1e-3 (a direction rebuilt from a
/// float32 quaternion may be off by that much near half turns).
bool same_geometry(const Geometry& a, const Geometry& b);
/// "64x96x96 voxels, spacing 2x1x1 mm, origin (…)" for messages.
std::string describe(const Geometry& geometry);

/// Voxels in row-major [D, H, W] order.
template <class T>
struct Image {
  Geometry geometry;
  std::vector<T> voxels;
  const Shape3& shape() const { return geometry.shape; }
  T& at(std::int64_t z, std::int64_t y, std::int64_t x) {
    return voxels[static_cast<std::size_t>((z * shape()[1] + y) * shape()[2] + x)];
  }
  const T& at(std::int64_t z, std::int64_t y, std::int64_t x) const { return const_cast<Image*>(this)->at(z, y, x); }
};

using ImageF = Image<float>;
using LabelImage = Image<std::int16_t>;

/// Reads a 3D image as float32: NIfTI (.nii, .nii.gz, .hdr with .img), MetaImage (.mha, .mhd), NRRD (.nrrd, .nhdr),
/// GIPL
/// (.gipl, .gipl.gz), or a folder that holds one DICOM series. A 2D image has one slice, 999 times its larger spacing
/// thick (nnU-Net's rule). Geometry and voxels are SimpleITK 2.5's, whose choices a header that contradicts itself gets
/// with a warning. Throws UserError naming the file, what is wrong and what to do: missing, truncated, damaged, not an
/// image, several values a voxel, NaN or infinite voxels, spacings that are not above 0, axes that are not at right
/// angles.
ImageF read_image(const std::filesystem::path& file);
/// The same for files with a fourth axis, such as BraTS in the Medical Segmentation Decathlon: one image a channel, of
/// one geometry. A 3D image has one channel.
std::vector<ImageF> read_channels(const std::filesystem::path& file);
/// Reads a label map. Throws UserError as above, and for voxels that are not whole numbers from -32768 to 32767.
LabelImage read_labels(const std::filesystem::path& file);
/// Reads only the header.
Geometry read_geometry(const std::filesystem::path& file);

/// Written atomically; the format follows the file name's ending, one of those above (one file each: no .hdr, .mhd or
/// .nhdr).
void write_image(const std::filesystem::path& file, const ImageF& image);
/// As uint8, or uint16 where a label is 255 or more (as nnU-Net does).
void write_labels(const std::filesystem::path& file, const LabelImage& labels);

}  // namespace m3d
