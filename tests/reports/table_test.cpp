#include "reports/table.h"

#include <fmt/format.h>

#include "tests/catch.h"

using namespace m3d::reports;

namespace {

Table table_of(const std::vector<std::optional<double>>& values, Direction direction, int decimals = 2) {
  const std::vector<Column> columns = {{"Name", "", Direction::none, Kind::text},
                                       {"Dice_x", "%", direction, Kind::number, decimals}};
  Table table{"t", "A & B", "", {}, {}, columns, {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    Cell cell;
    cell.value = values[i];
    table.rows.push_back({text_cell(fmt::format("row_{}", i)), cell});
  }
  mark_best(table);
  choose_decimals(table);
  return table;
}

std::string marks(const Table& table) {
  std::string text;
  for (const auto& row : table.rows) text += row[1].mark == Mark::best ? 'b' : row[1].mark == Mark::second ? 's' : '-';
  return text;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("marks follow unrounded values") {
  const Table table = table_of({87.451, 87.454, 87.449}, Direction::up);
  CHECK(marks(table) == "sb-");
  CHECK(contains(to_markdown(table), "| row\\_1 | **87.45** |"));
  CHECK(contains(to_markdown(table), "| row\\_0 | <u>87.45</u> |"));
  CHECK(contains(to_markdown(table), "| row\\_2 | 87.45 |"));
}

TEST_CASE("ties share a mark, also when sums differ in their last bit") {
  CHECK(marks(table_of({0.3, 0.1 + 0.2, 0.2, 0.1}, Direction::up)) == "bbs-");
  CHECK(marks(table_of({5, 3, 4, 4}, Direction::down)) == "-bss");
}

TEST_CASE("missing values take no mark and a column of equals has none") {
  CHECK(marks(table_of({std::nullopt, 2, 1}, Direction::up)) == "-bs");
  CHECK(marks(table_of({2, 2, 2}, Direction::up)) == "---");
  CHECK(marks(table_of({1, 2}, Direction::none)) == "--");
  CHECK(contains(to_markdown(table_of({std::nullopt, 2}, Direction::up)), "| row\\_0 | – |"));
}

TEST_CASE("LaTeX is escaped and has its columns' widths") {
  const std::string text = to_latex(table_of({-1.5, 123.25, std::nullopt}, Direction::up));
  CHECK(contains(text, "\\caption{A \\& B}"));
  CHECK(contains(text, "S[table-format=-3.2]"));
  CHECK(contains(text, "row\\_1 & \\bfseries 123.25 \\\\"));
  CHECK(contains(text, "row\\_2 & {--} \\\\"));
  CHECK(contains(text, "Dice\\_x $\\uparrow$"));
}

TEST_CASE("CSV keeps every digit and quotes what needs it") {
  Table table = table_of({0.1234567890123, 2}, Direction::up);
  table.rows[1][0] = text_cell("a,\"b\"");
  CHECK(to_csv(table) == "Name,Dice_x (%)\nrow_0,0.1234567890123\n\"a,\"\"b\"\"\",2\n");
}

TEST_CASE("numbers have the digits that they need") {
  CHECK(fixed(-0.001, 2) == "0.00");
  CHECK(table_of({24.3, 26.38}, Direction::none, -1).columns[1].decimals == 2);
  CHECK(table_of({0.0123, 4}, Direction::none, -1).columns[1].decimals == 3);
  CHECK(table_of({12345, 99999}, Direction::none, -1).columns[1].decimals == 0);
  Table counts = table_of({0, 2}, Direction::none, 1);
  counts.columns[1].kind = Kind::count;
  choose_decimals(counts);
  CHECK(counts.columns[1].decimals == 0);
}

TEST_CASE("a tiny probability is not printed as zero") {
  Table table = table_of({0.00001, 0.2}, Direction::none, 4);
  table.columns[1].kind = Kind::probability;
  CHECK(contains(to_markdown(table), "&lt;0.0001"));
  CHECK(contains(to_latex(table), "{$<0.0001$}"));
}

TEST_CASE("HTML is escaped") {
  Table table = table_of({1, 2}, Direction::up);
  table.rows[0][0] = text_cell("<script>");
  CHECK(contains(to_html(table), "&lt;script&gt;"));
  CHECK_FALSE(contains(to_html(table), "<script>"));
}
