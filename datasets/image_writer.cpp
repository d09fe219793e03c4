// Written by ITK; compressed NIfTI by zlib at its fastest level.
#include <itkGiplImageIO.h>
#include <itkImage.h>
#include <itkImageFileWriter.h>
#include <itkMetaImageIO.h>
#include <itkNiftiImageIO.h>
#include <itkNrrdImageIO.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/image.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;

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

void compress_file(const fs::path& source, const fs::path& target) {
  struct Closer {
    void operator()(gzFile_s* stream) const { gzclose(stream); }
  };
  std::ifstream input(source, std::ios::binary);
  std::unique_ptr<gzFile_s, Closer> output(gzopen(target.c_str(), "wb1"));
  if (!input || !output) throw RunError("cannot write " + target.string());
  gzbuffer(output.get(), kChunk);
  std::vector<char> chunk(kChunk);
  while (input.read(chunk.data(), kChunk), input.gcount() > 0)
    if (gzwrite(output.get(), chunk.data(), static_cast<unsigned>(input.gcount())) != input.gcount())
      throw RunError("cannot write " + target.string() + ": is the disk full?");
  if (gzclose(output.release()) != Z_OK) throw RunError("cannot write " + target.string() + ": is the disk full?");
}

template <class T>
void write_voxels(const fs::path& file, const Geometry& geometry, const T* voxels) {
  const auto writer_of_format = writer_for(file);
  write_atomically(file, [&](const fs::path& temporary) {
    const bool compressed = file.extension() == ".gz";
    const fs::path plain = compressed ? fs::path(temporary).replace_extension() : temporary;
    auto image = to_itk<T>(geometry);
    image->GetPixelContainer()->SetImportPointer(const_cast<T*>(voxels),
                                                 static_cast<std::size_t>(voxel_count(geometry.shape)), false);
    auto writer = itk::ImageFileWriter<itk::Image<T, 3>>::New();
    writer->SetImageIO(writer_of_format);
    writer->SetFileName(plain.string());
    writer->SetInput(image);
    writer->SetUseCompression(!compressed && file.extension() != ".nii" && file.extension() != ".gipl");
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
