#include "reports/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "reports/gnuplot.h"

namespace m3d::reports {
namespace {

constexpr double kMmPerPoint = 25.4 / 72;
constexpr double kLineSpacing = 1.5;  // of the font size; gnuplot's in SVG, the widest of its formats
constexpr double kSwatchMm = 3, kSwatchGapMm = 1.2, kEntryGapMm = 4;

/// A character's width as a share of the font size, by its kind, in DejaVu Sans: it stands in for Helvetica where that
/// is missing, and is wider.
double character_width(char c) {
  static const std::string narrow = " .,:;'|!()[]/-ijlft", wide = "mwMW%@";
  const auto byte = static_cast<unsigned char>(c);
  if ((byte & 0xC0) == 0x80) return 0;  // a character's further bytes
  if (narrow.find(c) != std::string::npos) return 0.35;
  if (wide.find(c) != std::string::npos) return 0.92;
  return std::isupper(byte) != 0 || std::isdigit(byte) != 0 ? 0.66 : 0.59;
}

/// Words in as few lines of at most `width_mm` as they fit into; a longer word has a line of its own.
std::string filled_lines(const std::string& text, double width_mm, const Theme& theme) {
  std::istringstream words(text);
  std::string lines, line;
  for (std::string word; words >> word;) {
    const std::string longer = line.empty() ? word : line + " " + word;
    if (!line.empty() && text_width_mm(longer, theme) > width_mm) {
      lines += line + "\n";
      line = word;
    } else {
      line = longer;
    }
  }
  return lines + line;
}

}  // namespace

std::string place_axes(const Panel& panel, double picture_width, double picture_height) {
  return fmt::format(
      "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\nset bmargin at screen {:.5f}\nset tmargin at screen "
      "{:.5f}\n",
      panel.left / picture_width, (panel.left + panel.width) / picture_width, panel.bottom / picture_height,
      (panel.bottom + panel.height) / picture_height);
}

double text_width_mm(const std::string& text, const Theme& theme) {
  double width = 0;
  for (const char c : text) width += character_width(c);
  return width * text_height_mm(theme);
}

double line_spacing_mm(const Theme& theme) { return kLineSpacing * text_height_mm(theme); }

double text_height_mm(const Theme& theme) { return theme.font_size_pt * kMmPerPoint; }

std::string broken_to(const std::string& label, double width_mm, const Theme& theme) {
  static const std::string separator = " · ";
  if (text_width_mm(label, theme) <= width_mm) return label;
  std::string lines;
  for (std::size_t begin = 0; begin <= label.size();) {
    const std::size_t end = std::min(label.find(separator, begin), label.size());
    lines += (lines.empty() ? "" : "\n") + filled_lines(label.substr(begin, end - begin), width_mm, theme);
    begin = end + separator.size();
  }
  return lines;
}

double line_breaks(const std::string& text) { return static_cast<double>(std::count(text.begin(), text.end(), '\n')); }

std::string text_at(const std::string& text, double x_mm, double y_mm, double picture_width, double picture_height,
                    const std::string& options) {
  return fmt::format("set label {} at screen {:.5f},{:.5f} {} front\n", quote(text), x_mm / picture_width,
                     y_mm / picture_height, options);
}

Legend::Legend(std::vector<LegendEntry> entries, double width_mm, const Theme& theme) : entries_(std::move(entries)) {
  line_mm_ = 1.45 * text_height_mm(theme);
  double x = 0;
  for (const LegendEntry& entry : entries_) {
    const double width = kSwatchMm + kSwatchGapMm + text_width_mm(entry.label, theme);
    if (x > 0 && x + width > width_mm) {
      x = 0;
      ++lines_;
    }
    places_.push_back({x, lines_});
    x += width + kEntryGapMm;
  }
  if (!entries_.empty()) ++lines_;
}

double Legend::height_mm() const { return line_mm_ * lines_; }

std::string Legend::draw(double left_mm, double top_mm, double picture_width, double picture_height) const {
  std::string text;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const LegendEntry& entry = entries_[i];
    const double x = left_mm + places_[i].x, y = top_mm - line_mm_ * (places_[i].line + 0.5);
    const double from_x = x / picture_width, to_x = (x + kSwatchMm) / picture_width;
    if (entry.marker == 0)
      text += fmt::format(
          "set object rectangle from screen {:.5f},{:.5f} to screen {:.5f},{:.5f} fillcolor rgb \"{}\" fillstyle solid "
          "1 "
          "noborder front\n",
          from_x, (y - 0.9) / picture_height, to_x, (y + 0.9) / picture_height, entry.colour);
    else
      text += fmt::format(
          "set label \"\" at screen {:.5f},{:.5f} point pointtype {} pointsize 0.6 linecolor rgb \"{}\" front\n",
          0.5 * (from_x + to_x), y / picture_height, entry.marker, entry.colour);
    text += text_at(entry.label, x + kSwatchMm + kSwatchGapMm, y, picture_width, picture_height, "left");
  }
  return text;
}

}  // namespace m3d::reports
