#pragma once
// Fonts, sizes and colours of all figures: reports/theme.yaml.
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "reports/section.h"

namespace m3d::reports {

struct Style {
  std::string colour;  // "#RRGGBB"
  int marker = 7;      // gnuplot's point type
};

struct Theme {
  std::string font, grey;
  double font_size_pt = 0, single_column_mm = 0, double_column_mm = 0, line_width = 0;
  std::map<std::string, Style> families;
  std::vector<Style> other_families;
  std::vector<std::string> structures, sequence;

  /// Throws UserError for unknown keys, missing ones and wrong types.
  static Theme load(const std::filesystem::path& file);

  /// A family that the theme does not name has one of `other_families`, the same for a name everywhere.
  Style family(const std::string& name) const;
  /// The family's colour; a shade of it where `families` has the family several times.
  Style member(const std::vector<std::string>& families, std::size_t index) const;
  /// Among the section's configurations.
  Style configuration(const Section& section, std::size_t index) const;
};

using Rgb = std::array<std::uint8_t, 3>;
Rgb parse_colour(const std::string& colour);
std::string to_text(const Rgb& colour);

}  // namespace m3d::reports
