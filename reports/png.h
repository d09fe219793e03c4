#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "reports/theme.h"

namespace m3d::reports {

/// An 8-bit colour picture, row by row from the top.
struct Raster {
  std::size_t width = 0, height = 0;
  std::vector<Rgb> pixels;

  Raster(std::size_t columns, std::size_t rows, Rgb fill)
      : width(columns), height(rows), pixels(columns * rows, fill) {}
  Rgb& at(std::size_t x, std::size_t y) { return pixels[y * width + x]; }
  const Rgb& at(std::size_t x, std::size_t y) const { return pixels[y * width + x]; }
};

/// The bytes of a PNG file (ISO/IEC 15948), the same for the same pixels.
std::string to_png(const Raster& raster);

}  // namespace m3d::reports
