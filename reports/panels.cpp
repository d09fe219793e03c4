#include "reports/panels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "common/atomic_file.h"

namespace m3d::reports {
namespace fs = std::filesystem;
namespace {

constexpr double kSideMm = 1, kNarrowestColumnMm = 21, kWidestColumnMm = 32, kTitleGapMm = 1.5;
constexpr double kHeadingMm = 4.8;  // of one line, with the room around it

double widest_line_mm(const std::string& text, const Theme& theme) {
  double widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, text_width_mm(line, theme));
  return widest;
}

/// As many columns as their titles, broken into lines, have room for; the same number in every band but the last.
std::size_t columns_a_band(const std::vector<std::string>& titles, const Theme& theme) {
  double needed = kNarrowestColumnMm;
  for (const std::string& title : titles)
    needed = std::max(needed, widest_line_mm(broken_to(title, 0, theme), theme) + kTitleGapMm);
  const double room = std::floor((theme.double_column_mm - 2 * kSideMm) / needed);
  const std::size_t most = std::max<std::size_t>(1, static_cast<std::size_t>(room));
  const std::size_t bands = (titles.size() + most - 1) / most;
  return (titles.size() + bands - 1) / bands;
}

/// Where everything is: in pixels of the raster, and how large they are.
class Sheet {
 public:
  Sheet(const PanelTable& table, const Theme& theme) : table_(table), columns_(columns_a_band(table.titles, theme)) {
    for (const auto& row : table.rows) {
      row_heights_.push_back(0);
      for (const Raster& panel : row) {
        cell_ = std::max(cell_, panel.width);
        row_heights_.back() = std::max(row_heights_.back(), panel.height);
      }
      band_height_ += row_heights_.back() + table.gap;
    }
    const double column_mm =
        std::min((theme.double_column_mm - 2 * kSideMm) / static_cast<double>(columns_), kWidestColumnMm);
    pixels_per_mm_ = static_cast<double>(cell_ + table.gap) / column_mm;
    for (std::size_t i = 0; i < table.titles.size(); ++i) {
      headings_.push_back(broken_to(table.titles[i], column_mm, theme) +
                          (table.remarks[i].empty() ? "" : "\n" + table.remarks[i]));
      heights_mm_.push_back(line_spacing_mm(theme) * line_breaks(headings_.back()));
    }
    std::size_t top = 0;
    for (std::size_t begin = 0; begin < headings_.size(); begin += columns_) {
      const auto first = heights_mm_.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto count = static_cast<std::ptrdiff_t>(std::min(columns_, headings_.size() - begin));
      top += static_cast<std::size_t>(
          std::lround((kHeadingMm + *std::max_element(first, first + count)) * pixels_per_mm_));
      band_tops_.push_back(top);
      top += band_height_;
    }
    height_ = top - table.gap;
  }

  Raster raster() const {
    Raster canvas(columns_ * (cell_ + table_.gap) - table_.gap, height_, {255, 255, 255});
    for (std::size_t column = 0; column < table_.titles.size(); ++column) {
      std::size_t top = band_top(column);
      for (std::size_t row = 0; row < table_.rows.size(); ++row) {
        const Raster& panel = table_.rows[row][column];
        paste(canvas, panel, left(column) + (cell_ - panel.width) / 2, top + (row_heights_[row] - panel.height) / 2);
        top += row_heights_[row] + table_.gap;
      }
    }
    return canvas;
  }

  double millimetres(std::size_t pixels) const { return static_cast<double>(pixels) / pixels_per_mm_; }

  /// Headings above their columns; the raster's upper left corner is at (left, top).
  std::string headings_text(double left_mm, double top_mm, double width, double height) const {
    std::string text;
    for (std::size_t i = 0; i < headings_.size(); ++i) {
      const double x = left_mm + millimetres(left(i)) + 0.5 * millimetres(cell_);
      const double y = top_mm - millimetres(band_top(i)) + 2.2 + heights_mm_[i];
      text += text_at(headings_[i], x, y, width, height, "center");
    }
    return text;
  }

 private:
  std::size_t left(std::size_t column) const { return column % columns_ * (cell_ + table_.gap); }
  std::size_t band_top(std::size_t column) const { return band_tops_[column / columns_]; }

  static void paste(Raster& canvas, const Raster& part, std::size_t left, std::size_t top) {
    for (std::size_t y = 0; y < part.height; ++y)
      for (std::size_t x = 0; x < part.width; ++x) canvas.at(left + x, top + y) = part.at(x, y);
  }

  const PanelTable& table_;
  std::size_t columns_, cell_ = 0, band_height_ = 0, height_ = 0;
  double pixels_per_mm_ = 1;
  std::vector<std::size_t> row_heights_, band_tops_;  // below the headings
  std::vector<std::string> headings_;
  std::vector<double> heights_mm_;  // of the headings, beyond their first line
};

}  // namespace

FigureScript panels_script(const std::string& name, const PanelTable& table, const std::vector<LegendEntry>& entries,
                           const Theme& theme, const fs::path& folder) {
  const Sheet sheet(table, theme);
  const Raster raster = sheet.raster();
  fs::create_directories(folder);
  write_atomically(folder / (name + "_panels.png"), to_png(raster));
  const double width = theme.double_column_mm;
  const Legend legend(entries, width - 2 * kSideMm, theme);
  const double image_width = sheet.millimetres(raster.width), image_height = sheet.millimetres(raster.height);
  const double height = image_height + legend.height_mm() + 3;
  const Panel panel{(width - image_width) / 2, legend.height_mm() + 2, image_width, image_height};
  std::string body = place_axes(panel, width, height) + "unset border\nunset tics\n";
  body += fmt::format("set xrange [-0.5:{}]\nset yrange [-0.5:{}]\n", static_cast<double>(raster.width) - 0.5,
                      static_cast<double>(raster.height) - 0.5);
  body += sheet.headings_text(panel.left, panel.bottom + panel.height, width, height);
  body += legend.draw(kSideMm, legend.height_mm() + 0.5, width, height);
  body += fmt::format("plot \"{}_panels.png\" binary filetype=png with rgbimage\n", name);
  return {name, width, height, body, {}, ""};
}

}  // namespace m3d::reports
