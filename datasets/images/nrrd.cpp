// NRRD: .nrrd (one file) and .nhdr (a header, and the voxels in a file beside it).
// Fields: https://teem.sourceforge.net/nrrd/format.html
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "common/error.h"
#include "datasets/images/stored_volume.h"
#include "datasets/images/text_header.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

const std::map<std::string, VoxelType>& voxel_types() {
  static const std::map<std::string, VoxelType> types = [] {
    const std::pair<VoxelType, std::vector<const char*>> names[] = {
        {VoxelType::int8, {"signed char", "int8", "int8_t"}},
        {VoxelType::uint8, {"uchar", "unsigned char", "uint8", "uint8_t"}},
        {VoxelType::int16, {"short", "short int", "signed short", "signed short int", "int16", "int16_t"}},
        {VoxelType::uint16, {"ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"}},
        {VoxelType::int32, {"int", "signed int", "int32", "int32_t"}},
        {VoxelType::uint32, {"uint", "unsigned int", "uint32", "uint32_t"}},
        {VoxelType::int64,
         {"longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"}},
        {VoxelType::uint64, {"ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"}},
        {VoxelType::float32, {"float"}},
        {VoxelType::float64, {"double"}}};
    std::map<std::string, VoxelType> all;
    for (const auto& [type, aliases] : names)
      for (const char* alias : aliases) all.emplace(alias, type);
    return all;
  }();
  return types;
}

/// Fields ("name: value") to the empty line or the file's end; names without blanks and in lower case, as the format
/// compares them. Key/value pairs ("name:=value") and comments are passed over.
TextHeader fields_of(ByteStream& stream) {
  TextHeader header(stream.file());
  std::string line;
  if (!next_line(stream, line) || !line.starts_with("NRRD000"))
    throw UserError(stream.file().string() +
                    ": not an NRRD file (it does not begin with \"NRRD000\"); convert it to .nii.gz, or copy it again");
  while (next_line(stream, line) && !line.empty()) {
    const std::size_t sign = line.find(':');
    if (line[0] == '#' || (sign != std::string::npos && line.compare(sign, 2, ":=") == 0)) continue;
    if (sign == std::string::npos || line.compare(sign, 2, ": ") != 0)
      throw UserError(stream.file().string() + ": not an NRRD header (the line \"" + line.substr(0, 40) +
                      "\"); expected lines like \"dimension: 3\"");
    std::string name;
    for (const char c : lower_case(line.substr(0, sign)))
      if (c != ' ') name += c;
    header.add(name, trimmed(line.substr(sign + 1)));
  }
  return header;
}

/// 1 or -1 along x, y, z and the channels: from the header's space into ITK's (LPS). Spaces without a relation to the
/// body stay.
std::array<double, 4> signs_to_lps(const TextHeader& header) {
  const std::string space = lower_case(header.text({"space"}));
  if (space == "right-anterior-superior" || space == "ras") return {-1, -1, 1, 1};
  if (space == "left-anterior-superior" || space == "las") return {-1, 1, 1, 1};
  return {1, 1, 1, 1};
}

/// Of the space in which the axes lie.
std::size_t space_dimension(const TextHeader& header) {
  const std::int64_t dimension = header.whole("spacedimension", 3);
  if (dimension < 2 || dimension > 4) throw header.error("spacedimension", "2, 3 or 4");
  return static_cast<std::size_t>(dimension);
}

/// "none" (empty here) or one vector an axis.
std::vector<std::vector<double>> space_directions(const TextHeader& header, std::size_t count) {
  const std::size_t dimension = space_dimension(header);
  std::vector<std::vector<double>> vectors;
  const std::string text = header.text({"spacedirections"});
  for (std::size_t at = 0; at < text.size();) {
    at = text.find_first_not_of(' ', at);
    if (at == std::string::npos) break;
    const std::size_t end = text[at] == '(' ? text.find(')', at) : text.find(' ', at);
    TextHeader one(header.file());
    one.add("space directions", text.substr(at, end == std::string::npos ? end : end + 1 - at));
    const bool none = lower_case(trimmed(one.text({"space directions"}))) == "none";
    vectors.push_back(none ? std::vector<double>{} : one.numbers({"space directions"}, dimension, {}));
    if (end == std::string::npos) break;
    at = end + 1;
  }
  if (vectors.size() != count) throw header.error("spacedirections", std::to_string(count) + " vectors");
  return vectors;
}

struct Axes {
  std::vector<double> spacing, origin, direction;
};

/// The axes in space come first; one without a direction, the channels, must be the last.
Axes axes_in_space(const TextHeader& header, std::size_t count) {
  const std::size_t dimension = space_dimension(header);
  const auto vectors = space_directions(header, count);
  const auto signs = signs_to_lps(header);
  Axes axes{std::vector<double>(count, 1), std::vector<double>(count, 0), std::vector<double>(count * count, 0)};
  for (std::size_t a = 0; a < count; ++a) {
    if (dimension > count || (a < dimension) == vectors[a].empty())
      throw header.error("spacedirections", std::to_string(dimension) + " axes in space, then \"none\" (channels)");
    if (vectors[a].empty()) continue;
    double squares = 0;
    for (const double value : vectors[a]) squares += value * value;
    axes.spacing[a] = std::sqrt(squares);
    for (std::size_t i = 0; i < dimension; ++i)
      axes.direction[i * count + a] = signs[i] * vectors[a][i] / axes.spacing[a];
  }
  const auto origin = header.numbers({"spaceorigin"}, dimension, std::vector<double>(dimension, 0));
  for (std::size_t i = 0; i < dimension; ++i) axes.origin[i] = signs[i] * origin[i];
  return axes;
}

Axes axes_of(const TextHeader& header, std::size_t count) {
  if (header.has("space") || header.has("spacedimension")) {
    if (!header.has("spacedirections")) throw header.error("spacedirections", "one vector an axis");
    return axes_in_space(header, count);
  }
  Axes axes{header.numbers({"spacings"}, count, std::vector<double>(count, 1)), std::vector<double>(count, 0),
            std::vector<double>(count * count, 0)};
  for (std::size_t i = 0; i < count; ++i) axes.direction[i * (count + 1)] = 1;
  return axes;
}

bool is_scalar_axis(const std::string& kind) {
  return kind == "domain" || kind == "space" || kind == "time" || kind == "???";
}

/// Kinds other than these along one of the first three axes mean several values a voxel.
void require_scalars(const TextHeader& header, std::size_t count) {
  std::string kinds = lower_case(header.text({"kinds"}));
  for (std::size_t axis = 0; axis < std::min<std::size_t>(count, 3) && !trimmed(kinds).empty(); ++axis) {
    kinds = trimmed(kinds);
    const std::size_t end = std::min(kinds.find(' '), kinds.size());
    if (!is_scalar_axis(kinds.substr(0, end)))
      throw header.error("kinds", "\"domain\" or \"space\" for the first three axes (one value a voxel)");
    kinds.erase(0, end);
  }
}

}  // namespace

StoredVolume parse_nrrd(const fs::path& file) {
  ByteStream stream(file);
  const TextHeader header = fields_of(stream);
  const std::int64_t dimension = header.whole("dimension", 0);
  if (dimension < 2 || dimension > 4) throw header.error("dimension", "2, 3 or 4");
  const auto count = static_cast<std::size_t>(dimension);
  require_scalars(header, count);

  StoredVolume volume;
  volume.header_file = volume.voxel_file = file;
  volume.sizes = sizes_in(header, "sizes", count);
  const auto type = voxel_types().find(lower_case(header.text({"type"})));
  if (type == voxel_types().end()) throw header.error("type", "whole or real numbers of 8 to 64 bits");
  volume.type = type->second;
  const std::string order = lower_case(header.text({"endian"}));
  if (order != "little" && order != "big" && size_of(volume.type) > 1) throw header.error("endian", "little or big");
  volume.swapped = (order == "big") != (std::endian::native == std::endian::big) && size_of(volume.type) > 1;
  const std::string encoding = lower_case(header.text({"encoding"}));
  if (encoding != "raw" && encoding != "gzip" && encoding != "gz") throw header.error("encoding", "raw or gzip");
  volume.deflated = encoding != "raw";
  const Axes axes = axes_of(header, count);
  volume.geometry = checked_geometry(file, volume.sizes, axes.spacing, axes.origin, axes.direction);

  const bool detached = header.has("datafile");
  if (detached) volume.voxel_file = beside(header, header.text({"datafile"}));
  const std::int64_t skipped = header.whole("byteskip", 0);
  if (skipped < -1) throw header.error("byteskip", "a whole number of bytes, or -1");
  if (header.whole("lineskip", 0) != 0) throw header.error("lineskip", "0");
  if (volume.deflated && skipped != 0) throw header.error("byteskip", "0, as the voxels are compressed");
  volume.at_end = skipped == -1;
  volume.first_voxel =
      (detached ? 0 : stream.position()) + static_cast<std::uint64_t>(std::max<std::int64_t>(skipped, 0));
  return volume;
}

}  // namespace m3d
