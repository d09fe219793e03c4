#pragma once
// --match: runs whose widths meet another network's budget, so that a comparison is one of equal cost.
#include "ablations/expand.h"
#include "architectures/width.h"
#include "datasets/catalogue/dataset.h"

namespace m3d {

/// Widths within 2 % of what `like` costs for the same data and patch (architectures/width.h); runs that cost the same
/// are searched for once. The runs record {budget, like, target, reached} in `match`. Matching throws UserError where
/// no width comes near enough, or the architecture has none.
BudgetRequest budget_request(Budget budget, const std::string& like, const DataRoots& roots);

/// What a network costs in this currency.
std::int64_t cost_of(Budget budget, const Architecture& architecture, const NetworkInput& input, const Json& model);

}  // namespace m3d
