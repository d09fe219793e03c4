// The permutations that runs recorded, as paths through three planes of the token grid.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "reports/figures.h"
#include "reports/layout.h"

namespace m3d::reports {
namespace {

constexpr std::int64_t kMostCells = 1600;      // of a plane whose path is still readable
constexpr std::int64_t kMostRectangles = 600;  // of a plane drawn as vectors; larger ones become a picture
constexpr double kPanelMm = 24, kGapMm = 3.5, kTitleMm = 8.5, kNamesMm = 4.5, kBarMm = 9;
constexpr std::size_t kOrdersARow = 2;

struct UsedOrder {
  const ScanOrder* order;
  std::vector<std::string> users;  // short labels of configurations
};

bool same(const ScanOrder& a, const ScanOrder& b) {
  return a.name == b.name && a.grid == b.grid && a.permutation == b.permutation;
}

std::vector<UsedOrder> distinct_orders(const Section& section) {
  std::vector<UsedOrder> distinct;
  for (const Configuration& configuration : section.configurations)
    for (const auto* runs : {&configuration.runs, &configuration.failures})
      for (const Run* run : *runs)
        for (const ScanOrder& order : run->scan_orders) {
          auto place = std::find_if(distinct.begin(), distinct.end(),
                                    [&](const UsedOrder& used) { return same(*used.order, order); });
          if (place == distinct.end()) place = distinct.insert(distinct.end(), UsedOrder{&order, {}});
          if (std::find(place->users.begin(), place->users.end(), configuration.short_label) == place->users.end())
            place->users.push_back(configuration.short_label);
        }
  return distinct;
}

/// The plane in the middle of the grid along axis `fixed`; columns and rows are the other two axes.
struct Plane {
  std::size_t fixed, row_axis, column_axis;
};
constexpr std::array<Plane, 3> kPlanes = {{{0, 1, 2}, {1, 0, 2}, {2, 0, 1}}};
constexpr std::array<char, 3> kAxisNames = {'D', 'H', 'W'};

struct Cell2 {
  std::int64_t column, row, position;
  bool operator==(const Cell2& other) const { return column == other.column && row == other.row; }
};

std::array<std::int64_t, 3> coordinates(const ScanOrder& order, std::int64_t token) {
  return {token / (order.grid[1] * order.grid[2]), token / order.grid[2] % order.grid[1], token % order.grid[2]};
}

/// The plane's tokens in the order in which they are read.
std::vector<Cell2> cells_of(const ScanOrder& order, const Plane& plane) {
  std::vector<Cell2> cells;
  for (std::size_t i = 0; i < order.permutation.size(); ++i) {
    const auto place = coordinates(order, order.permutation[i]);
    if (place[plane.fixed] == order.grid[plane.fixed] / 2)
      cells.push_back({place[plane.column_axis], place[plane.row_axis], static_cast<std::int64_t>(i)});
  }
  return cells;
}

std::string cells_text(std::vector<Cell2> cells) {
  std::sort(cells.begin(), cells.end(),
            [](const Cell2& a, const Cell2& b) { return std::pair(a.row, a.column) < std::pair(b.row, b.column); });
  std::string text;
  for (const Cell2& cell : cells) text += fmt::format("{},{},{}\n", cell.column, cell.row, cell.position);
  return text + "\n\n";
}

bool straight(const Cell2& a, const Cell2& b, const Cell2& c) {
  return b.column - a.column == c.column - b.column && b.row - a.row == c.row - b.row;
}

/// Tokens that follow each other immediately, joined; a new line where the scan leaves the plane. Points within
/// straight stretches are left out.
std::string path_text(const std::vector<Cell2>& cells) {
  std::string text;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool begins = i == 0 || cells[i].position != cells[i - 1].position + 1;
    const bool ends = i + 1 == cells.size() || cells[i + 1].position != cells[i].position + 1;
    if (begins && !text.empty()) text += "\n";
    if (begins || ends || !straight(cells[i - 1], cells[i], cells[i + 1]))
      text += fmt::format("{},{}\n", cells[i].column, cells[i].row);
  }
  return (text.empty() ? "NaN,NaN\n" : text) + "\n\n";
}

/// The plane's token that is read first, or last.
std::string end_text(const Cell2& cell) { return fmt::format("{},{}\n\n\n", cell.column, cell.row); }

/// Height that a plane has when it fills the panel's width, or less where it is taller than wide.
double height_mm(const ScanOrder& order, const Plane& plane) {
  const auto columns = static_cast<double>(order.grid[plane.column_axis]),
             rows = static_cast<double>(order.grid[plane.row_axis]);
  return rows * kPanelMm / std::max(columns, rows);
}

double tallest_mm(const std::vector<UsedOrder>& orders) {
  double tallest = 0;
  for (const UsedOrder& used : orders)
    for (const Plane& plane : kPlanes) tallest = std::max(tallest, height_mm(*used.order, plane));
  return tallest;
}

std::string palette_text(const Theme& theme) {
  std::string stops;
  for (std::size_t i = 0; i < theme.sequence.size(); ++i)
    stops += fmt::format("{}{:.4f} \"{}\"", i == 0 ? "" : ", ",
                         static_cast<double>(i) / static_cast<double>(theme.sequence.size() - 1), theme.sequence[i]);
  return "set palette defined (" + stops + ")\n";
}

struct Files {
  std::string cells = "# column,row,position: a block a plane\n";
  std::string paths = "# column,row: per plane a block of the path, one of its first token, one of its last\n";
};

struct Canvas {
  double width, height;
  std::string name;
};

/// One plane: coloured by position, the path drawn over it, a ring at the token read first and a square at the last.
std::string plane_text(const ScanOrder& order, const Plane& plane, const Panel& panel, const Canvas& canvas,
                       std::size_t index, Files& files) {
  const std::vector<Cell2> cells = cells_of(order, plane);
  const std::int64_t columns = order.grid[plane.column_axis], rows = order.grid[plane.row_axis];
  files.cells += cells_text(cells);
  files.paths += (columns * rows <= kMostCells ? path_text(cells) : std::string("NaN,NaN\n\n\n")) +
                 end_text(cells.front()) + end_text(cells.back());
  const double scale = std::min(panel.width / static_cast<double>(columns), panel.height / static_cast<double>(rows));
  const double width = scale * static_cast<double>(columns), height = scale * static_cast<double>(rows);
  const Panel fitted{panel.left + (panel.width - width) / 2, panel.bottom + panel.height - height, width, height};
  std::string text = place_axes(fitted, canvas.width, canvas.height);
  text += fmt::format("set xrange [-0.5:{}]\nset yrange [{}:-0.5]\n", static_cast<double>(columns) - 0.5,
                      static_cast<double>(rows) - 0.5);
  text += text_at(fmt::format("{} = {}", kAxisNames[plane.fixed], order.grid[plane.fixed] / 2),
                  panel.left + panel.width / 2, fitted.bottom - 2, canvas.width, canvas.height,
                  "center textcolor rgb \"#5C6670\"");
  const std::string paths = quote(canvas.name + "_paths.csv");
  text += fmt::format("plot {} index {} using 1:2:3 with image{}", quote(canvas.name + ".csv"), index,
                      columns * rows <= kMostRectangles ? " pixels" : "");
  text +=
      fmt::format(", \\\n  {} index {} using 1:2 with lines linewidth 0.8 linecolor rgb \"white\"", paths, 3 * index);
  text += fmt::format(
      ", \\\n  {} index {} using 1:2 with points pointtype 6 pointsize 0.55 linewidth 1.4 linecolor rgb \"white\"",
      paths, 3 * index + 1);
  text += fmt::format(
      ", \\\n  {} index {} using 1:2 with points pointtype 5 pointsize 0.45 linecolor rgb \"#D55E00\"\nunset label\n",
      paths, 3 * index + 2);
  return text;
}

std::string title_of(const UsedOrder& used) {
  std::string users;
  for (const std::string& user : used.users) users += (users.empty() ? "" : ", ") + user;
  if (users.size() > 48) users = fmt::format("{} configurations", used.users.size());
  const auto& grid = used.order->grid;
  return fmt::format("{} on {}×{}×{} tokens\nused by {}", used.order->name, grid[0], grid[1], grid[2], users);
}

/// A colour bar without numbers: from first to last.
std::string bar_text(const Theme& theme, const Canvas& canvas) {
  const double middle = canvas.width / 2, bar = 40, y = 2.5;
  std::string text = text_at("read first", middle - bar / 2 - 2, y + 1, canvas.width, canvas.height, "right");
  text += text_at("read last", middle + bar / 2 + 2, y + 1, canvas.width, canvas.height, "left");
  const std::size_t steps = 48;
  for (std::size_t i = 0; i < steps; ++i) {
    const double x = static_cast<double>(i) / steps * static_cast<double>(theme.sequence.size() - 1);
    const auto stop = std::min(static_cast<std::size_t>(x), theme.sequence.size() - 2);
    const Rgb from = parse_colour(theme.sequence[stop]), to = parse_colour(theme.sequence[stop + 1]);
    Rgb mixed{};
    for (std::size_t k = 0; k < 3; ++k)
      mixed[k] = static_cast<std::uint8_t>(std::lround(from[k] + (to[k] - from[k]) * (x - static_cast<double>(stop))));
    const double left = middle - bar / 2 + bar * static_cast<double>(i) / steps;
    text += fmt::format(
        "set object rectangle from screen {:.5f},{:.5f} to screen {:.5f},{:.5f} fillcolor rgb \"{}\" fillstyle solid 1 "
        "noborder\n",
        left / canvas.width, y / canvas.height, (left + bar / steps + 0.05) / canvas.width, (y + 2) / canvas.height,
        to_text(mixed));
  }
  return text;
}

}  // namespace

Drawing scan_order_diagrams(const Section& section, const Theme& theme) {
  const std::string name = section.stem("scan_orders"), title = "Scan orders";
  const std::vector<UsedOrder> orders = distinct_orders(section);
  if (orders.empty()) return omitted(name, title, "no run recorded scan orders (scan_orders.json)");
  const std::size_t rows = (orders.size() + kOrdersARow - 1) / kOrdersARow;
  const double panel_height = tallest_mm(orders), pitch = kTitleMm + panel_height + kNamesMm;
  const Canvas canvas{theme.double_column_mm, pitch * static_cast<double>(rows) + kBarMm, name};
  Files files;
  std::string body =
      "set multiplot\nunset border\nunset tics\nunset colorbox\n" + palette_text(theme) + bar_text(theme, canvas);
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const double left = 3 + canvas.width / kOrdersARow * static_cast<double>(i % kOrdersARow);
    const double top = canvas.height - pitch * static_cast<double>(i / kOrdersARow);
    body += text_at(title_of(orders[i]), left, top - 2.5, canvas.width, canvas.height, "left");
    body += fmt::format("set cbrange [0:{}]\n", std::max<std::size_t>(orders[i].order->permutation.size() - 1, 1));
    for (std::size_t p = 0; p < kPlanes.size(); ++p) {
      const Panel panel{left + (kPanelMm + kGapMm) * static_cast<double>(p), top - kTitleMm - panel_height, kPanelMm,
                        panel_height};
      body += plane_text(*orders[i].order, kPlanes[p], panel, canvas, i * kPlanes.size() + p, files);
    }
    if (i == 0) body += "unset object\n";
  }
  Drawing drawing;
  drawing.figure = {name, title,
                    "The permutations that the runs really used, in the middle plane across each axis of the token "
                    "grid: colour is the position in the sequence; "
                    "a line joins tokens that are read one right after the other (it stops where the scan leaves the "
                    "plane); ring: first, square: last token of the plane.",
                    "", ""};
  drawing.script = {name,
                    canvas.width,
                    canvas.height,
                    body + "unset multiplot\n",
                    {{name + ".csv", files.cells}, {name + "_paths.csv", files.paths}},
                    run_hashes(section)};
  return drawing;
}

}  // namespace m3d::reports
