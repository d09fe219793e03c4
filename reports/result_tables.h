#pragma once
// The tables of a section. Every number is a record's own value, or the mean and spread of records' values over runs.
#include <vector>

#include "reports/section.h"
#include "reports/table.h"

namespace m3d::reports {

/// A row a configuration: quality (Dice by group and mean, HD95, NSD, misses) and cost.
Table main_table(const Section& section);
/// A row a configuration: what it costs at its patch (Taming Mambas' Table 5). A run that memory did not suffice for
/// has what was known before it. No rows where no run has a profile.
Table efficiency_table(const Section& section);
/// Classes as columns: Dice, HD95 and NSD, a table each.
std::vector<Table> class_tables(const Section& section);
/// Dice of each probe group by configuration, mean and spread over runs; no rows unless some configuration has two
/// seeds.
Table group_table(const Section& section);

/// Starts a table of the section: name, caption, sources (hashes, commits, commands).
Table start_table(const Section& section, const std::string& name, const std::string& title);
/// The leading cells of a row (architecture, varied axes, runs) and their columns.
void add_identity_columns(Table& table, const Section& section);
std::vector<Cell> identity_cells(const Section& section, const Configuration& configuration);

}  // namespace m3d::reports
