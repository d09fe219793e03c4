#pragma once
// Where things go on a page of gnuplot's screen coordinates, in millimetres.
#include <string>
#include <utility>
#include <vector>

#include "reports/theme.h"

namespace m3d::reports {

/// A panel within a picture: millimetres from the left and from the bottom.
struct Panel {
  double left = 0, bottom = 0, width = 0, height = 0;
};
/// Sets the four margins, so that the axes fill the panel exactly.
std::string place_axes(const Panel& panel, double picture_width, double picture_height);

struct LegendEntry {
  std::string label, colour;
  int marker = 0;  // gnuplot's point type in place of a swatch; 0: swatch
};
/// Swatches or markers with labels, filled line by line into `width_mm`.
class Legend {
 public:
  Legend(std::vector<LegendEntry> entries, double width_mm, const Theme& theme);
  double height_mm() const;
  /// Script text; the legend's upper left corner is at (left, top).
  std::string draw(double left_mm, double top_mm, double picture_width, double picture_height) const;

 private:
  struct Place {
    double x = 0;
    int line = 0;
  };
  std::vector<LegendEntry> entries_;
  std::vector<Place> places_;
  double line_mm_ = 0;
  int lines_ = 0;
};

/// Width of a text in the theme's font, estimated from its characters.
double text_width_mm(const std::string& text, const Theme& theme);
/// The font's size.
double text_height_mm(const Theme& theme);
/// "UlikeMamba_3d · tri" on lines of its own parts where it is wider than `width_mm`; parts that still are, at spaces.
std::string broken_to(const std::string& label, double width_mm, const Theme& theme);
/// How many lines a text takes beyond its first, and from line to line.
double line_breaks(const std::string& text);
double line_spacing_mm(const Theme& theme);
/// A text at (x, y) mm; `options` are gnuplot's ("center", "rotate by 90").
std::string text_at(const std::string& text, double x_mm, double y_mm, double picture_width, double picture_height,
                    const std::string& options);

}  // namespace m3d::reports
