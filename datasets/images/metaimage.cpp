// MetaImage: .mha (one file) and .mhd (a header, and the voxels in a file beside it).
// Fields: https://itk.org/Wiki/ITK/MetaIO/Documentation
#include <bit>
#include <map>
#include <string>

#include "common/error.h"
#include "datasets/images/stored_volume.h"
#include "datasets/images/text_header.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

const std::map<std::string, VoxelType>& voxel_types() {
  static const std::map<std::string, VoxelType> types{
      {"MET_CHAR", VoxelType::int8},       {"MET_UCHAR", VoxelType::uint8},       {"MET_SHORT", VoxelType::int16},
      {"MET_USHORT", VoxelType::uint16},   {"MET_INT", VoxelType::int32},         {"MET_UINT", VoxelType::uint32},
      {"MET_LONG", VoxelType::int32},      {"MET_ULONG", VoxelType::uint32},  // four bytes there, on every machine
      {"MET_LONG_LONG", VoxelType::int64}, {"MET_ULONG_LONG", VoxelType::uint64}, {"MET_FLOAT", VoxelType::float32},
      {"MET_DOUBLE", VoxelType::float64}};
  return types;
}

/// Fields up to the last one, ElementDataFile; the voxels may follow it at once.
TextHeader fields_of(ByteStream& stream) {
  TextHeader header(stream.file());
  for (std::string line; next_line(stream, line);) {
    const std::size_t sign = line.find_first_of("=:");
    if (sign == std::string::npos) {
      if (trimmed(line).empty()) continue;
      throw UserError(stream.file().string() +
                      ": not a MetaImage header (a line without \"=\"); expected lines like "
                      "\"NDims = 3\"; is it of another format than its name says?");
    }
    const std::string name = trimmed(line.substr(0, sign));
    header.add(name, trimmed(line.substr(sign + 1)));
    if (name == "ElementDataFile") return header;
  }
  throw UserError(stream.file().string() +
                  ": cut off within its header (no field ElementDataFile); copy or download the file again");
}

bool is_true(const TextHeader& header, std::initializer_list<const char*> names) {
  const std::string value = header.text(names);
  return !value.empty() && (value[0] == 'T' || value[0] == 't' || value[0] == '1');
}

std::vector<double> unit_matrix(std::size_t axes) {
  std::vector<double> matrix(axes * axes, 0);
  for (std::size_t i = 0; i < axes; ++i) matrix[i * (axes + 1)] = 1;
  return matrix;
}

/// The file lists the axes one after the other: our columns.
std::vector<double> direction_of(const TextHeader& header, std::size_t axes) {
  const auto rows = header.numbers({"TransformMatrix", "Rotation", "Orientation"}, axes * axes, unit_matrix(axes));
  std::vector<double> direction(axes * axes);
  for (std::size_t i = 0; i < axes; ++i)
    for (std::size_t j = 0; j < axes; ++j) direction[j * axes + i] = rows[i * axes + j];
  return direction;
}

void require_supported(const TextHeader& header) {
  if (!is_true(header, {"BinaryData"})) throw header.error("BinaryData", "True (voxels written as text are not read)");
  if (header.whole("ElementNumberOfChannels", 1) != 1)
    throw header.error("ElementNumberOfChannels", "1 (one value a voxel; split it into one file a channel)");
}

}  // namespace

StoredVolume parse_metaimage(const fs::path& file) {
  ByteStream stream(file);
  const TextHeader header = fields_of(stream);
  require_supported(header);
  const std::int64_t axes = header.whole("NDims", 0);
  if (axes < 2 || axes > 4) throw header.error("NDims", "2, 3 or 4");
  const auto count = static_cast<std::size_t>(axes);

  StoredVolume volume;
  volume.header_file = volume.voxel_file = file;
  volume.sizes = sizes_in(header, "DimSize", count);
  const auto type = voxel_types().find(header.text({"ElementType"}));
  if (type == voxel_types().end()) throw header.error("ElementType", "one of MET_CHAR … MET_DOUBLE");
  volume.type = type->second;
  const bool big = is_true(header, {"BinaryDataByteOrderMSB", "ElementByteOrderMSB"});
  volume.swapped = big != (std::endian::native == std::endian::big);
  volume.deflated = is_true(header, {"CompressedData"});

  const std::vector<double> ones(count, 1), zeros(count, 0);
  const auto spacing = header.numbers({"ElementSpacing"}, count, header.numbers({"ElementSize"}, count, ones));
  const auto origin = header.numbers({"Offset", "Position", "Origin"}, count, zeros);
  volume.geometry = checked_geometry(file, volume.sizes, spacing, origin, direction_of(header, count));

  const std::string name = header.text({"ElementDataFile"});
  const bool local = lower_case(name) == "local";
  if (!local) volume.voxel_file = beside(header, name);
  const std::int64_t skipped = header.whole("HeaderSize", 0);
  if (skipped < -1) throw header.error("HeaderSize", "a whole number of bytes, or -1");
  volume.at_end = skipped == -1 && !volume.deflated;
  volume.first_voxel = skipped > 0 ? static_cast<std::uint64_t>(skipped) : local ? stream.position() : 0;
  return volume;
}

}  // namespace m3d
