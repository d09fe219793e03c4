#pragma once
#include "reports/table.h"

namespace m3d {

/// Parameters and multiply-accumulates that papers print (reports/published_costs.json) beside what this build counts
/// for the same network at the same input, and why they differ where they do. Throws UserError for a broken file.
reports::Table published_costs_table();

}  // namespace m3d
