// Written by ITK; compressed NIfTI by zlib at its fastest level.
#include <itkGiplImageIO.h>
#include <itkImage.h>
#include <itkImageFileWriter.h>
#include <itkMetaImageIO.h>
#include <itkNiftiImageIO.h>
#include <itkNrrdImageIO.h>

#include <algorithm>
#include <string>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/images/gzip_file.h"
#include "datasets/images/image.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

itk::ImageIOBase::Pointer writer_for(const fs::path& file) {
  const std::string name = file.filename().string();
  if (name.ends_with(".nii") || name.ends_with(".nii.gz")) return itk::NiftiImageIO::New().GetPointer();
  if (name.ends_with(".mha")) return itk::MetaImageIO::New().GetPointer();
  if (name.ends_with(".nrrd")) return itk::NrrdImageIO::New().GetPointer();
  if (name.ends_with(".gipl")) return itk::GiplImageIO::New().GetPointer();
  throw UserError(
      file.string() +
      ": not an image this program writes; expected a name that ends in .nii.gz, .nii, .mha, .nrrd or .gipl");
}

template <class T>
typename itk::Image<T, 3>::Pointer to_itk(const Geometry& geometry) {
  auto image = itk::Image<T, 3>::New();
  typename itk::Image<T, 3>::SizeType size;
  typename itk::Image<T, 3>::SpacingType spacing;
  typename itk::Image<T, 3>::PointType origin;
  typename itk::Image<T, 3>::DirectionType direction;
  for (unsigned i = 0; i < 3; ++i) {
    size[i] = static_cast<itk::SizeValueType>(geometry.shape[2 - i]);
    spacing[i] = geometry.spacing_mm[2 - i];
    origin[i] = geometry.origin_mm[i];
    for (unsigned j = 0; j < 3; ++j) direction(i, j) = geometry.direction[3 * i + j];
  }
  image->SetRegions(size);
  image->SetSpacing(spacing);
  image->SetOrigin(origin);
  image->SetDirection(direction);
  return image;
}

/// ITK's writers of NIfTI and MetaImage do not tell that a file could not be written whole.
void require_whole(const fs::path& written, const fs::path& file, std::int64_t bytes) {
  if (static_cast<std::int64_t>(fs::file_size(written)) < bytes)
    throw RunError("cannot write " + file.string() + ": is the disk full?");
}

template <class T>
void write_plain(const fs::path& written, const fs::path& file, const Geometry& geometry, const T* voxels) {
  const std::int64_t count = voxel_count(geometry.shape);
  auto image = to_itk<T>(geometry);
  image->GetPixelContainer()->SetImportPointer(const_cast<T*>(voxels), static_cast<std::size_t>(count), false);
  auto writer = itk::ImageFileWriter<itk::Image<T, 3>>::New();
  // MetaImage too: whether a compressed one is whole could not be told by its size.
  const bool plain = written.extension() != ".nrrd";
  writer->SetImageIO(writer_for(file));
  writer->SetFileName(written.string());
  writer->SetInput(image);
  writer->SetUseCompression(!plain);
  try {
    writer->Update();
  } catch (const itk::ExceptionObject& error) {
    throw RunError("cannot write " + file.string() + ": " + error.GetDescription());
  }
  if (plain) require_whole(written, file, count * static_cast<std::int64_t>(sizeof(T)));
}

template <class T>
void write_voxels(const fs::path& file, const Geometry& geometry, const T* voxels) {
  writer_for(file);  // refuses names of other formats before anything is written
  write_atomically(file, [&](const fs::path& temporary) {
    if (file.extension() != ".gz") return write_plain(temporary, file, geometry, voxels);
    const fs::path plain = fs::path(temporary).replace_extension();
    try {
      write_plain(plain, file, geometry, voxels);
      gzip_file(plain, temporary);
    } catch (...) {
      std::error_code ignored;
      fs::remove(plain, ignored);
      throw;
    }
    fs::remove(plain);
  });
}

template <class T>
void write_labels_as(const fs::path& file, const LabelImage& labels) {
  const std::vector<T> voxels(labels.voxels.begin(), labels.voxels.end());
  write_voxels(file, labels.geometry, voxels.data());
}

}  // namespace

void write_image(const fs::path& file, const ImageF& image) { write_voxels(file, image.geometry, image.voxels.data()); }

void write_labels(const fs::path& file, const LabelImage& labels) {
  const auto [smallest, largest] = std::minmax_element(labels.voxels.begin(), labels.voxels.end());
  if (labels.voxels.empty() || *smallest < 0) throw std::logic_error("a label map must have voxels, none below 0");
  if (*largest >= 255)
    write_labels_as<std::uint16_t>(file, labels);
  else
    write_labels_as<std::uint8_t>(file, labels);
}

}  // namespace m3d
