#include "suite/cli/published_costs.h"

#include <cmath>

#include "architectures/macs.h"
#include "architectures/record_forms.h"
#include "common/atomic_file.h"
#include "common/error.h"
#include "common/resources.h"

namespace m3d {
namespace {

using reports::Cell;
using reports::Direction;
using reports::Kind;
using reports::text_cell;

// The printed values have three or four digits.
constexpr double kReproduced = 0.015;

Cell number_cell(double value) {
  Cell cell;
  cell.value = value;
  return cell;
}

Cell published_cell(const Json& value) { return value.is_null() ? Cell{} : number_cell(value.get<double>()); }

std::string shape_text(const NetworkInput& input) {
  return std::to_string(input.channels) + "×" + std::to_string(input.patch[0]) + "×" + std::to_string(input.patch[1]) +
         "×" + std::to_string(input.patch[2]) + ", " + std::to_string(input.classes) + " classes";
}

/// Whether every value that was published is counted here too; nothing is said where the input is not known.
std::string verdict(const Json& row, double parameters_m, double macs_g) {
  const auto agrees = [](const Json& published, double ours) {
    return published.is_null() || std::abs(ours / published.get<double>() - 1) <= kReproduced;
  };
  const bool parameters = agrees(row.at("parameters_m"), parameters_m);
  if (!row.at("input_published").get<bool>()) return parameters ? "parameters" : "no";
  return parameters && agrees(row.at("gflops"), macs_g) ? "yes" : "no";
}

std::vector<Cell> cells_of(const Json& row) {
  const auto form = find_record_form(row.at("architecture"), row.at("config"));
  if (!form) throw UserError("no architecture '" + row.at("architecture").get<std::string>() + "'");
  const Json& given = row.at("input");
  const NetworkInput input{given.at("channels"), given.at("classes"), given.at("patch")};
  const Architecture& architecture = find_architecture(form->architecture);
  const MacCounts macs = count_macs(architecture, input, form->options);
  const double parameters_m = 1e-6 * static_cast<double>(count_parameters(architecture, input, form->options));
  const double macs_g = 1e-9 * static_cast<double>(macs.total() - macs.scan);
  return {text_cell(row.at("method")),
          text_cell(row.at("paper")),
          text_cell(shape_text(input)),
          published_cell(row.at("parameters_m")),
          number_cell(parameters_m),
          published_cell(row.at("gflops")),
          number_cell(macs_g),
          macs.scan > 0 ? number_cell(1e-9 * static_cast<double>(macs.scan)) : Cell{},
          text_cell(verdict(row, parameters_m, macs_g)),
          text_cell(row.value("note", ""))};
}

}  // namespace

reports::Table published_costs_table() {
  const auto file = data_folder() / "reports" / "published_costs.json";
  reports::Table table;
  table.name = "published_costs";
  table.title = "Parameters and multiply-accumulates: published, and counted here";
  table.notes = {"A published FLOP count is taken as a count of multiply-accumulates. Ours leave the scan out, as the "
                 "papers do; its share stands apart."};
  const auto text = [](const char* title) { return reports::Column{title, "", Direction::none, Kind::text}; };
  const auto number = [](const char* title, const char* unit) {
    return reports::Column{title, unit, Direction::none, Kind::number, 2};
  };
  table.columns = {text("Method"),
                   text("Paper"),
                   text("Counted at"),
                   number("Parameters, published", "M"),
                   number("Parameters, ours", "M"),
                   number("FLOPs, published", "G"),
                   number("MACs, ours", "G"),
                   number("Scan", "G"),
                   text("Reproduced"),
                   text("Note")};
  try {
    const Json published = Json::parse(read_file(file));
    for (const Json& row : published.at("rows")) table.rows.push_back(cells_of(row));
  } catch (const std::exception& error) {
    throw UserError(file.string() + ": " + error.what());
  }
  return table;
}

}  // namespace m3d
