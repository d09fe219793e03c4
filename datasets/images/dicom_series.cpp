#include "datasets/images/dicom_series.h"

#include <itkGDCMImageIO.h>
#include <itkMetaDataObject.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/images/stored_volume.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

using Vector3 = std::array<double, 3>;

constexpr double kSame = 1e-3;                // mm, and of direction cosines
constexpr double kStepTolerance = 0.01;       // of the distance between slices: positions are written with few decimals
constexpr std::uint64_t kLargestGain = 4096;  // voxels a byte: what no compression of images reaches
constexpr double kSmallestDistance = 1e-3;    // mm; closer slices lie at one place

struct Slice {
  fs::path file;
  std::string series;
  bool placed = false;                         ///< has a position in the patient
  std::array<std::int64_t, 3> sizes{1, 1, 1};  ///< x, y, frames
  Vector3 spacing{1, 1, 1}, origin{};
  std::array<double, 9> direction{};  ///< row-major, columns are axes
  double along = 0;                   ///< position along the normal, mm

  Vector3 normal() const { return {direction[2], direction[5], direction[8]}; }
  std::string name() const { return file.filename().string(); }
};

/// The preamble that DICOM files have since 1996.
bool is_dicom(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  char magic[4] = {};
  return stream.seekg(128) && stream.read(magic, 4) && std::string_view(magic, 4) == "DICM";
}

std::vector<fs::path> dicom_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    std::error_code ignored;
    const std::string name = entry->path().filename().string();
    if (!entry->is_regular_file(ignored) || name[0] == '.' || name == "DICOMDIR") continue;
    if (is_dicom(entry->path()))
      files.push_back(entry->path());
    else if (name.ends_with(".dcm") || name.ends_with(".DCM"))
      throw UserError(entry->path().string() + ": not a DICOM file, or cut off; copy it again or remove it");
  }
  if (code) throw UserError("cannot read the folder " + folder.string() + ": " + code.message());
  if (files.empty())
    throw UserError(folder.string() +
                    ": no DICOM files in this folder; expected the slices of one series (or name an image file)");
  std::sort(files.begin(), files.end());
  return files;
}

/// GDCM fills up with zeros what is missing at the end: the element of the voxels (7FE0,0010; with and without its
/// kind, OB or OW, written out) must end within the file, or, where it is of undefined length, with its delimiter.
void require_whole(const fs::path& file) {
  const std::string bytes = read_file(file);
  const std::string tag("\xe0\x7f\x10\x00", 4), delimiter("\xfe\xff\xdd\xe0", 4);
  const std::size_t at = bytes.find(tag, 132);
  if (at == std::string::npos) return;  // GDCM says what that means
  const std::string kind = bytes.substr(at + 4, 2);
  const std::size_t begin = at + (kind == "OW" || kind == "OB" ? 12 : 8);
  std::uint32_t length = 0;
  for (std::size_t i = 0; begin <= bytes.size() && i < 4; ++i)
    length |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[begin - 4 + i])) << (8 * i);
  const bool whole = begin <= bytes.size() && (length == 0xffffffff ? bytes.find(delimiter, begin) != std::string::npos
                                                                    : length <= bytes.size() - begin);
  if (!whole) throw UserError(file.string() + ": truncated (its voxels are cut off); copy or download the file again");
}

/// Calls `use` with GDCM's reader for the file; what it throws becomes a UserError.
template <class Use>
auto with_reader(const fs::path& file, const Use& use) {
  auto reader = itk::GDCMImageIO::New();
  reader->SetFileName(file.string());
  try {
    reader->ReadImageInformation();
    return use(*reader);
  } catch (const itk::ExceptionObject& error) {
    throw UserError(file.string() + ": cannot be read as a DICOM image (" + error.GetDescription() +
                    "); copy it again, or convert the series to .nii.gz");
  }
}

std::string tag(itk::GDCMImageIO& reader, const char* name) {
  std::string value;
  itk::ExposeMetaData<std::string>(reader.GetMetaDataDictionary(), name, value);
  return value;
}

/// The numbers of a tag, which have a backslash between them.
std::vector<double> numbers(itk::GDCMImageIO& reader, const char* name) {
  std::string text = tag(reader, name);
  std::replace(text.begin(), text.end(), '\\', ' ');
  std::istringstream stream(text);
  return {std::istream_iterator<double>(stream), {}};
}

/// GDCM takes 1 mm for a spacing that cannot be, and the axes of the body for directions that are none, with a line on
/// the terminal.
void require_own_geometry(const Slice& slice, itk::GDCMImageIO& reader) {
  require_spacing(slice.file, numbers(reader, "0028|0030"));
  const std::vector<double> axes = numbers(reader, "0020|0037");
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (!(std::abs(axes[i] - slice.direction[3 * (i % 3) + i / 3 % 2]) <= kSame))
      throw UserError(slice.file.string() +
                      ": its axes (tag 0020,0037) are not at right angles or not of length 1; copy the file again, or "
                      "resample the series to a right-angled grid");
}

Slice slice_of(const fs::path& file) {
  require_whole(file);
  return with_reader(file, [&](itk::GDCMImageIO& reader) {
    if (reader.GetNumberOfComponents() != 1 || reader.GetNumberOfDimensions() < 2)
      throw UserError(file.string() + ": expected one value a voxel, found " +
                      std::to_string(reader.GetNumberOfComponents()) + " (a colour image?)");
    Slice slice;
    slice.file = file;
    slice.series = tag(reader, "0020|000e");
    slice.placed = !tag(reader, "0020|0032").empty() && !tag(reader, "0020|0037").empty();
    const unsigned axes = std::min(reader.GetNumberOfDimensions(), 3U);
    for (unsigned i = 0; i < axes; ++i) {
      slice.sizes[i] = static_cast<std::int64_t>(reader.GetDimensions(i));
      slice.spacing[i] = reader.GetSpacing(i);
      slice.origin[i] = reader.GetOrigin(i);
      const auto axis = reader.GetDirection(i);
      for (unsigned row = 0; row < std::min<std::size_t>(axis.size(), 3); ++row)
        slice.direction[3 * row + i] = axis[row];
    }
    if (checked_voxels(file, slice.sizes) > fs::file_size(file) * kLargestGain)
      throw UserError(file.string() + ": announces more voxels than a file of its size can hold; copy it again");
    require_own_geometry(slice, reader);
    const Vector3 normal = slice.normal();
    for (std::size_t i = 0; i < 3; ++i) slice.along += normal[i] * slice.origin[i];
    return slice;
  });
}

template <class Values>
bool close(const Values& a, const Values& b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](double x, double y) { return std::abs(x - y) <= kSame; });
}

void require_one_series(const fs::path& folder, const std::vector<Slice>& slices) {
  std::map<std::string, std::vector<const Slice*>> series;
  for (const Slice& slice : slices) series[slice.series].push_back(&slice);
  if (series.size() == 1) return;
  std::string list;
  for (const auto& [uid, members] : series)
    list += (list.empty() ? "" : ", ") + std::to_string(members.size()) + " like " + members.front()->name();
  throw UserError(folder.string() + ": the slices of " + std::to_string(series.size()) + " series are mixed (" + list +
                  "); move each series into a folder of its own");
}

void require_alike(const fs::path& folder, const std::vector<Slice>& slices) {
  const Slice& first = slices.front();
  for (const Slice& slice : slices) {
    const std::string pair = folder.string() + ": slices " + first.name() + " and " + slice.name();
    const std::string advice = "; a series must be one stack: remove scouts and other extra images";
    if (!slice.placed)
      throw UserError(slice.file.string() +
                      ": does not say where it lies in the patient (tags 0020,0032 and 0020,0037)" + advice);
    if (slice.sizes != first.sizes) throw UserError(pair + " differ in size" + advice);
    if (!close(std::array{slice.spacing[0], slice.spacing[1]}, std::array{first.spacing[0], first.spacing[1]}))
      throw UserError(pair + " differ in voxel spacing" + advice);
    if (!close(slice.direction, first.direction)) throw UserError(pair + " differ in orientation" + advice);
    if (slice.sizes[2] != 1)
      throw UserError(slice.file.string() + ": has several frames, and is not alone in its folder" + advice);
  }
}

std::string millimetres(double length) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g mm", length);
  return text;
}

/// `slices` in order. Returns the distance between neighbours.
double checked_distance(const fs::path& folder, const std::vector<Slice>& slices) {
  const Slice &first = slices.front(), &last = slices.back();
  const double mean = (last.along - first.along) / static_cast<double>(slices.size() - 1);
  std::vector<double> steps;
  for (std::size_t i = 1; i < slices.size(); ++i) steps.push_back(slices[i].along - slices[i - 1].along);
  std::vector<double> sorted = steps;
  std::nth_element(sorted.begin(), sorted.begin() + (std::ssize(sorted) - 1) / 2, sorted.end());
  const double median = sorted[(sorted.size() - 1) / 2];
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string pair = folder.string() + ": slices " + slices[i].name() + " and " + slices[i + 1].name();
    if (steps[i] < kSmallestDistance)
      throw UserError(pair + " lie at the same place; remove the duplicate (or the second series)");
    if (std::abs(steps[i] - median) > kStepTolerance * median + kSmallestDistance)
      throw UserError(pair + " are " + millimetres(steps[i]) + " apart, the others " + millimetres(median) +
                      (steps[i] > 1.5 * median ? "; slices are missing: copy the series again"
                                               : "; resample the series to equal distances"));
  }
  const Vector3 normal = first.normal();
  double aside = 0;
  for (std::size_t i = 0; i < 3; ++i)
    aside = std::hypot(aside, last.origin[i] - first.origin[i] - normal[i] * (last.along - first.along));
  if (aside > kStepTolerance * (last.along - first.along))
    throw UserError(folder.string() + ": the slices are shifted against each other by " + millimetres(aside) +
                    " from " + first.name() + " to " + last.name() +
                    " (a tilted gantry?); resample the series to a right-angled grid");
  return mean;
}

VoxelType voxel_type(const fs::path& file, itk::IOComponentEnum type) {
  using Component = itk::IOComponentEnum;
  switch (type) {
    case Component::CHAR:
      return VoxelType::int8;
    case Component::UCHAR:
      return VoxelType::uint8;
    case Component::SHORT:
      return VoxelType::int16;
    case Component::USHORT:
      return VoxelType::uint16;
    case Component::INT:
      return VoxelType::int32;
    case Component::UINT:
      return VoxelType::uint32;
    case Component::LONG:
    case Component::LONGLONG:
      return VoxelType::int64;
    case Component::ULONG:
    case Component::ULONGLONG:
      return VoxelType::uint64;
    case Component::FLOAT:
      return VoxelType::float32;
    case Component::DOUBLE:
      return VoxelType::float64;
    default:
      throw UserError(file.string() + ": voxels of an unknown type; convert the series to .nii.gz");
  }
}

void read_slice(const Slice& slice, VoxelSink& sink) {
  with_reader(slice.file, [&](itk::GDCMImageIO& reader) {
    itk::ImageIORegion region(reader.GetNumberOfDimensions());
    for (unsigned i = 0; i < reader.GetNumberOfDimensions(); ++i) region.SetSize(i, reader.GetDimensions(i));
    reader.SetIORegion(region);
    std::vector<std::byte> bytes(reader.GetImageSizeInBytes());
    reader.Read(bytes.data());
    Geometry geometry;
    geometry.shape = {slice.sizes[2], slice.sizes[1], slice.sizes[0]};
    VoxelConverter(slice.file, geometry, voxel_type(slice.file, reader.GetComponentType()), false, {}, sink)
        .convert(bytes);
  });
}

}  // namespace

void read_dicom_series(const fs::path& folder, VoxelSink& sink) {
  std::vector<Slice> slices;
  for (const fs::path& file : dicom_files(folder)) slices.push_back(slice_of(file));
  require_one_series(folder, slices);
  Slice whole = slices.front();
  if (slices.size() > 1) {
    require_alike(folder, slices);
    std::sort(slices.begin(), slices.end(), [](const Slice& a, const Slice& b) { return a.along < b.along; });
    whole = slices.front();
    whole.spacing[2] = checked_distance(folder, slices);
    whole.sizes[2] = std::ssize(slices);
  }
  VolumeHeader header;
  header.geometry = checked_geometry(folder, whole.sizes, whole.spacing, whole.origin, whole.direction);
  header.reserve_voxels = checked_voxels(folder, whole.sizes);
  if (!sink.begin(header)) return;
  for (const Slice& slice : slices) read_slice(slice, sink);
}

}  // namespace m3d
