#include "reports/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace m3d::reports {
namespace {

std::set<double> values_of(const Table& table, std::size_t column) {
  std::set<double> values;
  for (const auto& row : table.rows)
    if (row[column].value) values.insert(*row[column].value);
  return values;
}

void mark_column(Table& table, std::size_t column) {
  const std::set<double> values = values_of(table, column);
  if (values.size() < 2) return;
  const bool up = table.columns[column].direction == Direction::up;
  const double best = up ? *values.rbegin() : *values.begin();
  const double second = up ? *std::next(values.rbegin()) : *std::next(values.begin());
  for (auto& row : table.rows) {
    if (row[column].value == best) row[column].mark = Mark::best;
    if (row[column].value == second) row[column].mark = Mark::second;
  }
}

int decimals_for(const std::set<double>& values) {
  const auto smallest = std::find_if(values.begin(), values.end(), [](double v) { return v > 0; });
  if (smallest == values.end()) return 0;
  return std::clamp(3 - static_cast<int>(std::floor(std::log10(*smallest))), 0, 3);
}

}  // namespace

Cell text_cell(std::string text) {
  Cell cell;
  cell.text = std::move(text);
  return cell;
}

void mark_best(Table& table) {
  for (std::size_t column = 0; column < table.columns.size(); ++column)
    if (table.columns[column].direction != Direction::none) mark_column(table, column);
}

void choose_decimals(Table& table) {
  for (std::size_t column = 0; column < table.columns.size(); ++column)
    if (table.columns[column].decimals < 0) table.columns[column].decimals = decimals_for(values_of(table, column));
}

std::string fixed(double value, int decimals) {
  const std::string text = fmt::format("{:.{}f}", value, decimals);
  const bool is_zero = text.find_first_not_of("-0.") == std::string::npos;
  return is_zero && text.front() == '-' ? text.substr(1) : text;
}

}  // namespace m3d::reports
