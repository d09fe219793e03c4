#include "datasets/images/nifti_header.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/error.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kBytes1 = 348, kBytes2 = 540;

/// Where the fields lie; the two versions differ in order and width.
struct Layout {
  std::size_t datatype, pixdim, first_voxel, slope, intercept, units, qform_code, sform_code, quaternion, offset, sform;
};
constexpr Layout kLayout1{70, 76, 108, 112, 116, 123, 252, 254, 256, 268, 280};
constexpr Layout kLayout2{12, 104, 168, 176, 184, 500, 344, 348, 352, 376, 400};

/// Fields by offset, in this machine's byte order.
class Fields {
 public:
  Fields(std::span<const char> bytes, bool swapped) : bytes_(bytes), swapped_(swapped) {}

  template <class T>
  T get(std::size_t offset) const {
    char field[sizeof(T)];
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), sizeof(T), field);
    if (swapped_) std::reverse(field, field + sizeof(T));
    T value;
    std::memcpy(&value, field, sizeof value);
    return value;
  }
  /// The version's kind of real number, number `index` from `offset` on.
  double real(int version, std::size_t offset, std::size_t index = 0) const {
    return version == 1 ? static_cast<double>(get<float>(offset + 4 * index)) : get<double>(offset + 8 * index);
  }
  int code(int version, std::size_t offset) const {
    return version == 1 ? get<std::int16_t>(offset) : get<std::int32_t>(offset);
  }

 private:
  std::span<const char> bytes_;
  bool swapped_;
};

UserError not_nifti(const fs::path& file, const std::string& why) {
  return UserError(file.string() + ": not a NIfTI image (" + why + "); convert it to .nii.gz, or copy it again");
}

std::optional<VoxelType> voxel_type(int code) {
  switch (code) {
    case 2:
      return VoxelType::uint8;
    case 4:
      return VoxelType::int16;
    case 8:
      return VoxelType::int32;
    case 16:
      return VoxelType::float32;
    case 64:
      return VoxelType::float64;
    case 256:
      return VoxelType::int8;
    case 512:
      return VoxelType::uint16;
    case 768:
      return VoxelType::uint32;
    case 1024:
      return VoxelType::int64;
    case 1280:
      return VoxelType::uint64;
    default:
      return std::nullopt;
  }
}

VoxelType checked_type(const fs::path& file, int code) {
  if (const auto type = voxel_type(code)) return *type;
  const char* name = code == 32 || code == 1792     ? "complex numbers"
                     : code == 128 || code == 2304  ? "colours"
                     : code == 1                    ? "single bits"
                     : code == 1536 || code == 2048 ? "128-bit numbers"
                                                    : "an unknown type";
  throw UserError(file.string() + ": its voxels are " + name + " (NIfTI datatype " + std::to_string(code) +
                  "); expected whole or real numbers of 8 to 64 bits, one a voxel; convert the image to float32");
}

/// 348 or 540, in this or the other byte order, decides; the rest of the header says whether that was chance.
bool recognise(std::span<const char> bytes, NiftiHeader& header) {
  for (const bool swapped : {false, true}) {
    const Fields fields(bytes, swapped);
    const auto size = fields.get<std::int32_t>(0);
    if (size != static_cast<std::int32_t>(kBytes1) && size != static_cast<std::int32_t>(kBytes2)) continue;
    header.version = size == static_cast<std::int32_t>(kBytes1) ? 1 : 2;
    header.swapped = swapped;
    const std::string_view magic(bytes.data() + (header.version == 1 ? 344 : 4), 3);
    header.pair = magic == (header.version == 1 ? "ni1" : "ni2");
    return header.pair || magic == (header.version == 1 ? "n+1" : "n+2");
  }
  return false;
}

std::vector<std::int64_t> sizes_of(const fs::path& file, const Fields& fields, int version) {
  const auto entry = [&](std::size_t i) -> std::int64_t {
    return version == 1 ? fields.get<std::int16_t>(40 + 2 * i) : fields.get<std::int64_t>(16 + 8 * i);
  };
  const std::int64_t axes = entry(0);
  if (axes < 1 || axes > 7) throw not_nifti(file, "it announces " + std::to_string(axes) + " axes");
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 1; i <= axes; ++i) sizes.push_back(entry(static_cast<std::size_t>(i)));
  checked_voxels(file, sizes);
  while (sizes.size() > 3 && sizes.back() == 1) sizes.pop_back();
  if (sizes.size() == 1)
    throw UserError(file.string() + ": its header has one axis only; expected a 2D, 3D or 4D image");
  return sizes;
}

/// A slope of 0 or none at all means 1, as ITK has it (the intercept stays).
Scaling scaling_of(double slope, double intercept) {
  Scaling scaling{slope, std::isfinite(intercept) ? intercept : 0};
  if (!std::isfinite(slope) || std::abs(slope) < 2.220446049250313e-16) scaling.slope = 1;
  return scaling;
}

double millimetres(int units) {
  switch (units & 7) {
    case 1:
      return 1e3;  // metres
    case 3:
      return 1e-3;  // micrometres
    default:
      return 1;
  }
}

std::uint64_t first_voxel(const fs::path& file, const Fields& fields, const NiftiHeader& header, std::size_t offset) {
  const double place = header.version == 1 ? static_cast<double>(fields.get<float>(offset))
                                           : static_cast<double>(fields.get<std::int64_t>(offset));
  if (!(place >= 0) || place > 1e12)
    throw UserError(file.string() + ": damaged header (voxels that begin at byte " + std::to_string(place) +
                    "); copy or convert the file again");
  const auto bytes = static_cast<std::uint64_t>(place);
  return header.pair ? bytes : std::max<std::uint64_t>(bytes, header.version == 1 ? kBytes1 : kBytes2);
}

void read_orientation(const Fields& fields, const Layout& at, NiftiHeader& header) {
  const int version = header.version;
  header.qform_code = fields.code(version, at.qform_code);
  header.sform_code = fields.code(version, at.sform_code);
  header.handedness = fields.real(version, at.pixdim) < 0 ? -1 : 1;
  for (std::size_t i = 0; i < 3; ++i) {
    header.spacing[i] = fields.real(version, at.pixdim, i + 1);
    header.quaternion[i] = fields.real(version, at.quaternion, i);
    header.qform_offset[i] = fields.real(version, at.offset, i);
    for (std::size_t j = 0; j < 4; ++j) header.sform[i][j] = fields.real(version, at.sform, 4 * i + j);
  }
}

}  // namespace

NiftiHeader read_nifti_header(ByteStream& stream) {
  const fs::path& file = stream.file();
  std::array<char, kBytes2> bytes{};
  std::size_t count = stream.read(bytes.data(), kBytes1);
  NiftiHeader header;
  if (count < kBytes1) throw not_nifti(file, "cut off within its header");
  if (!recognise(bytes, header)) {
    const Fields fields(bytes, false), other(bytes, true);
    const bool analyze = fields.get<std::int32_t>(0) == 348 || other.get<std::int32_t>(0) == 348;
    throw not_nifti(file, analyze ? "an Analyze 7.5 header, which does not say where left and right are"
                                  : "its first bytes are another format's");
  }
  if (header.version == 2) count += stream.read(bytes.data() + count, kBytes2 - kBytes1);
  if (header.version == 2 && count < kBytes2) throw not_nifti(file, "cut off within its header");
  const Fields fields(bytes, header.swapped);
  const Layout& at = header.version == 1 ? kLayout1 : kLayout2;
  header.sizes = sizes_of(file, fields, header.version);
  header.type = checked_type(file, fields.get<std::int16_t>(at.datatype));
  header.scaling = scaling_of(fields.real(header.version, at.slope), fields.real(header.version, at.intercept));
  header.first_voxel = first_voxel(file, fields, header, at.first_voxel);
  header.unit_mm =
      millimetres(header.version == 1 ? fields.get<std::int8_t>(at.units) : fields.get<std::int32_t>(at.units));
  read_orientation(fields, at, header);
  if (header.sizes.size() == 2) header.spacing[2] = 1;
  return header;
}

}  // namespace m3d
