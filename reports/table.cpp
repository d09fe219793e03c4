#include "reports/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace m3d::reports {
namespace {

/// Sums of the same numbers in another order differ in their last bits; that is a tie.
bool tied(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b)); }

/// The column's distinct values in ascending order.
std::vector<double> values_of(const Table& table, std::size_t column) {
  std::vector<double> values;
  for (const auto& row : table.rows)
    if (row[column].value) values.push_back(*row[column].value);
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end(), tied), values.end());
  return values;
}

void mark_column(Table& table, std::size_t column) {
  std::vector<double> values = values_of(table, column);
  if (values.size() < 2) return;
  if (table.columns[column].direction == Direction::up) std::reverse(values.begin(), values.end());
  for (auto& row : table.rows) {
    if (!row[column].value) continue;
    if (tied(*row[column].value, values[0])) row[column].mark = Mark::best;
    if (tied(*row[column].value, values[1])) row[column].mark = Mark::second;
  }
}

int decimals_for(const std::vector<double>& values) {
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
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    Column& column = table.columns[i];
    const std::vector<double> values = values_of(table, i);
    const bool whole = std::all_of(values.begin(), values.end(), [](double v) { return v == std::round(v); });
    if (column.decimals < 0) column.decimals = decimals_for(values);
    if (column.kind == Kind::count && whole) column.decimals = 0;
  }
}

std::vector<Table> blocks_of(const Table& table) {
  if (table.break_before == 0) return {table};
  Table first = table, second = table;
  const auto leading =
      std::find_if(table.columns.begin(), table.columns.end(), [](const Column& c) { return c.numeric(); }) -
      table.columns.begin();
  const auto cut = [&](auto& top, auto& bottom) {
    top.erase(top.begin() + static_cast<std::ptrdiff_t>(table.break_before), top.end());
    bottom.erase(bottom.begin() + leading, bottom.begin() + static_cast<std::ptrdiff_t>(table.break_before));
  };
  cut(first.columns, second.columns);
  for (std::size_t row = 0; row < table.rows.size(); ++row) cut(first.rows[row], second.rows[row]);
  return {first, second};
}

std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string fixed(double value, int decimals) {
  const std::string text = fmt::format("{:.{}f}", value, decimals);
  const bool is_zero = text.find_first_not_of("-0.") == std::string::npos;
  return is_zero && text.front() == '-' ? text.substr(1) : text;
}

}  // namespace m3d::reports
