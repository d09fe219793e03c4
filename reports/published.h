#pragma once
// Other people's numbers, for the same dataset only: reports/published/*.json (facts with their source).
#include <filesystem>
#include <string>
#include <vector>

#include "reports/table.h"

namespace m3d::reports {

/// A table a paper that has results on `dataset`: a row a method, a column a metric, the source of every row. `prefix`
/// goes before the tables' names. Throws UserError naming a file that cannot be read.
std::vector<Table> published_tables(const std::filesystem::path& folder, const std::string& dataset,
                                    const std::string& prefix);

}  // namespace m3d::reports
