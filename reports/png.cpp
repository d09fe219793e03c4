#include "reports/png.h"

#include <zlib.h>

#include "common/error.h"

namespace m3d::reports {
namespace {

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((value >> shift) & 0xFF);
  return bytes;
}

/// Length, type, data and the checksum over type and data.
std::string chunk(const std::string& type, const std::string& data) {
  const std::string content = type + data;
  const auto checksum = crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
  return big_endian(static_cast<std::uint32_t>(data.size())) + content +
         big_endian(static_cast<std::uint32_t>(checksum));
}

std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(static_cast<uLong>(bytes.size()));
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                static_cast<uLong>(bytes.size()), 9) != Z_OK)
    throw RunError("zlib could not pack a picture");
  packed.resize(size);
  return packed;
}

}  // namespace

std::string to_png(const Raster& raster) {
  std::string rows;
  rows.reserve((3 * raster.width + 1) * raster.height);
  for (std::size_t y = 0; y < raster.height; ++y) {
    rows += '\0';  // no filter
    for (std::size_t x = 0; x < raster.width; ++x)
      for (const std::uint8_t channel : raster.at(x, y)) rows += static_cast<char>(channel);
  }
  const std::string colour_8_bit = {8, 2, 0, 0, 0};
  const std::string header = big_endian(static_cast<std::uint32_t>(raster.width)) +
                             big_endian(static_cast<std::uint32_t>(raster.height)) + colour_8_bit;
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", deflated(rows)) + chunk("IEND", "");
}

}  // namespace m3d::reports
