#pragma once
// A table as a value, and its printed forms.
#include <optional>
#include <string>
#include <vector>

namespace m3d::reports {

enum class Direction { none, up, down };               // which way is better
enum class Kind { text, number, count, probability };  // count: no decimals where all are whole; probability: "<0.0001"
enum class Mark { none, best, second };

struct Column {
  std::string title;
  std::string unit = {};
  Direction direction = Direction::none;
  Kind kind = Kind::number;
  int decimals = -1;  // -1: four significant digits of the smallest value, at most three decimals
  bool numeric() const { return kind != Kind::text; }
};

/// A number (with spread, where there is one) or, without a number, a word; both empty: missing, printed as "–".
struct Cell {
  std::optional<double> value = {}, spread = {};
  std::string text = {};
  Mark mark = Mark::none;
};
Cell text_cell(std::string text);

struct Table {
  std::string name;                  // file stem and LaTeX label
  std::string title;                 // "Results"
  std::string scope;                 // "suite scanning, dataset phantom_mri"; the page says it once
  std::vector<std::string> notes;    // printed below
  std::vector<std::string> sources;  // header comment of the LaTeX form: hashes, commit, command
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  std::size_t break_before = 0;  // column where LaTeX and HTML go on in a second block below; 0: nowhere
  bool theirs = false;           // published by others: set in italics
};

/// Marks the best and the second best value of every column that has a direction, on unrounded values; equal values
/// share a mark. A column whose values are all equal has no marks.
void mark_best(Table& table);
/// The table in the blocks that LaTeX and HTML show below each other; leading columns without numbers are in each.
std::vector<Table> blocks_of(const Table& table);
/// Decides the decimals of the columns that have none.
void choose_decimals(Table& table);

/// "long_range" as people read it: "long range".
std::string spaced(std::string name);
/// `value` with that many decimals; never "-0.00".
std::string fixed(double value, int decimals);

std::string to_latex(const Table& table);
std::string to_markdown(const Table& table);
/// Unrounded values, a column of its own for spreads where there are any.
std::string to_csv(const Table& table);
std::string to_html(const Table& table);

std::string escape_html(const std::string& text);
std::string escape_csv(const std::string& text);

}  // namespace m3d::reports
