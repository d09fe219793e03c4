// With label_surface.cpp the only file that knows ITK. NIfTI alone: it is the form in which the datasets are given.
#include <itkImage.h>
#include <itkImageFileReader.h>
#include <itkImageFileWriter.h>
#include <itkNiftiImageIO.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/image.h"
#include "datasets/nifti_file.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

void require_nifti_name(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.ends_with(".nii") && !name.ends_with(".nii.gz"))
    throw UserError(file.string() +
                    ": not an image this program reads or writes; expected a NIfTI file (.nii, .nii.gz)");
}

Geometry geometry_of(const itk::ImageBase<3>& image) {
  Geometry geometry;
  const auto size = image.GetLargestPossibleRegion().GetSize();
  for (unsigned i = 0; i < 3; ++i) {
    geometry.shape[2 - i] = static_cast<std::int64_t>(size[i]);
    geometry.spacing_mm[2 - i] = std::abs(image.GetSpacing()[i]);
    geometry.origin_mm[i] = image.GetOrigin()[i];
    for (unsigned j = 0; j < 3; ++j) geometry.direction[3 * i + j] = image.GetDirection()(i, j);
  }
  return geometry;
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

using Reader = itk::ImageFileReader<itk::Image<float, 3>>;

Reader::Pointer reader_of(const fs::path& file) {
  auto reader = Reader::New();
  reader->SetImageIO(itk::NiftiImageIO::New());
  reader->SetFileName(file.string());
  reader->UpdateOutputInformation();
  if (reader->GetImageIO()->GetNumberOfComponents() != 1)
    throw UserError(file.string() + ": expected one value a voxel, found " +
                    std::to_string(reader->GetImageIO()->GetNumberOfComponents()) +
                    "; split it into one file a channel");
  return reader;
}

/// Calls `use` with a reader that knows the header; takes the way round over repaired axes when ITK refuses them.
template <class Use>
void with_reader(const fs::path& file, const Use& use) {
  require_nifti_name(file);
  require_nifti_header(file);
  try {
    use(*reader_of(file));
  } catch (const itk::ExceptionObject& error) {
    if (std::strstr(error.GetDescription(), "orthonormal") == nullptr)
      throw UserError(file.string() + ": cannot be read as an image: " + error.GetDescription());
    with_orthogonal_axes(file, [&](const fs::path& repaired) { use(*reader_of(repaired)); });
  }
}

/// After conversion to float32: values beyond its range have become infinite.
void require_finite(const fs::path& file, const ImageF& image) {
  const auto bad = std::find_if(image.voxels.begin(), image.voxels.end(), [](float v) { return !std::isfinite(v); });
  if (bad != image.voxels.end()) throw not_finite(file, bad - image.voxels.begin(), image.shape());
}

template <class T>
void write_voxels(const fs::path& file, const Geometry& geometry, const T* voxels) {
  require_nifti_name(file);
  write_atomically(file, [&](const fs::path& temporary) {
    const bool compressed = file.extension() == ".gz";
    const fs::path plain = compressed ? fs::path(temporary).replace_extension() : temporary;
    auto image = to_itk<T>(geometry);
    image->GetPixelContainer()->SetImportPointer(const_cast<T*>(voxels),
                                                 static_cast<std::size_t>(voxel_count(geometry.shape)), false);
    auto writer = itk::ImageFileWriter<itk::Image<T, 3>>::New();
    writer->SetImageIO(itk::NiftiImageIO::New());
    writer->SetFileName(plain.string());
    writer->SetInput(image);
    try {
      writer->Update();
      if (compressed) compress_file(plain, temporary);
    } catch (const itk::ExceptionObject& error) {
      throw RunError("cannot write " + file.string() + ": " + error.GetDescription());
    }
    if (compressed) fs::remove(plain);
  });
}

template <class T>
void write_labels_as(const fs::path& file, const LabelImage& labels) {
  const std::vector<T> voxels(labels.voxels.begin(), labels.voxels.end());
  write_voxels(file, labels.geometry, voxels.data());
}

}  // namespace

ImageF read_image(const fs::path& file) {
  ImageF image;
  require_nifti_name(file);
  require_whole_nifti(file);
  with_reader(file, [&](Reader& reader) {
    reader.Update();
    image.geometry = geometry_of(*reader.GetOutput());
    const float* voxels = reader.GetOutput()->GetBufferPointer();
    image.voxels.assign(voxels, voxels + voxel_count(image.shape()));
  });
  require_finite(file, image);
  return image;
}

LabelImage read_labels(const fs::path& file) {
  const ImageF image = read_image(file);
  LabelImage labels{image.geometry, std::vector<std::int16_t>(image.voxels.size())};
  for (std::size_t i = 0; i < labels.voxels.size(); ++i) {
    const float value = image.voxels[i];
    if (value != std::floor(value) || std::abs(value) > std::numeric_limits<std::int16_t>::max())
      throw UserError(file.string() + ": label " + std::to_string(value) +
                      " is not a whole number up to 32767; is this an image instead of a label map?");
    labels.voxels[i] = static_cast<std::int16_t>(value);
  }
  return labels;
}

Geometry read_geometry(const fs::path& file) {
  Geometry geometry;
  with_reader(file, [&](Reader& reader) { geometry = geometry_of(*reader.GetOutput()); });
  return geometry;
}

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
