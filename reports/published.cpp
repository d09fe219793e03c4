#include "reports/published.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/strict_yaml.h"

namespace m3d::reports {
namespace fs = std::filesystem;
namespace {

struct PublishedRow {
  std::string architecture, table, source, confidence;
  std::vector<std::pair<std::string, double>> values;  // metric, value
};

struct PublishedColumn {
  std::string metric, unit;
};

PublishedRow& row_for(std::vector<PublishedRow>& rows, const Json& entry) {
  const auto architecture = entry.at("architecture").get<std::string>(), table = entry.at("table").get<std::string>();
  for (PublishedRow& row : rows)
    if (row.architecture == architecture && row.table == table) return row;
  rows.push_back(
      {architecture, table, entry.at("source").get<std::string>(), entry.at("confidence").get<std::string>(), {}});
  return rows.back();
}

std::vector<Cell> cells_of(const PublishedRow& row, const std::vector<PublishedColumn>& columns) {
  std::vector<Cell> cells = {text_cell(row.architecture), text_cell(row.table)};
  for (const PublishedColumn& column : columns) {
    Cell cell;
    for (const auto& [metric, value] : row.values)
      if (metric == column.metric) cell.value = value;
    cells.push_back(cell);
  }
  cells.push_back(text_cell(row.confidence));
  return cells;
}

Table table_of(const Json& paper, const std::string& dataset) {
  std::vector<PublishedRow> rows;
  std::vector<PublishedColumn> columns;
  std::set<std::string> sources;
  for (const Json& entry : paper.at("results")) {
    if (entry.at("dataset") != dataset) continue;
    const auto metric = entry.at("metric").get<std::string>();
    row_for(rows, entry).values.emplace_back(metric, entry.at("value").get<double>());
    sources.insert(entry.at("source").get<std::string>());
    if (std::none_of(columns.begin(), columns.end(), [&](const auto& column) { return column.metric == metric; }))
      columns.push_back({metric, entry.at("unit").get<std::string>()});
  }
  Table table;
  table.theirs = true;
  const auto title = paper.at("paper").get<std::string>(), arxiv = paper.at("arxiv").get<std::string>();
  table.title = fmt::format("Published by others on {}: {} (arXiv {})", dataset, title, arxiv);
  table.columns = {{"Method", "", Direction::none, Kind::text}, {"Their table", "", Direction::none, Kind::text}};
  for (const auto& [metric, unit] : columns) table.columns.push_back({metric, unit, Direction::none, Kind::number, 2});
  table.columns.push_back({"Read from", "", Direction::none, Kind::text});
  for (const PublishedRow& row : rows) table.rows.push_back(cells_of(row, columns));
  table.notes = {"Theirs, not measured here: other splits, training and hardware; not part of any ranking above."};
  std::string origin = "Source:";
  for (const std::string& source : sources) origin += " " + source + ";";
  origin.back() = '.';
  table.notes.push_back(origin);
  return table;
}

}  // namespace

std::vector<Table> published_tables(const fs::path& folder, const std::string& dataset, const std::string& prefix) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Table> tables;
  for (const fs::path& file : files) {
    try {
      Table table = table_of(Json::parse(read_file(file)), dataset);
      table.name = prefix + "published_" + file.stem().string();
      if (!table.rows.empty()) tables.push_back(std::move(table));
    } catch (const Json::exception& failure) {
      throw UserError(file.string() + ": " + failure.what());
    }
  }
  return tables;
}

}  // namespace m3d::reports
