#pragma once
// What data.plan means for a run.
#include "ablations/overrides.h"
#include "architectures/registry.h"

namespace m3d {

/// "none", a planner's name or a plans file: "auto" keeps embedded datasets at their native spacing and lets others go
/// by nnU-Net's plain planner. Throws UserError, naming `where`, for an unknown name.
std::string resolved_plan(const std::string& plan, bool embedded, const std::string& where);

/// Whether a plan is a file rather than a name.
bool is_plans_file(const std::string& plan);

/// Resolves data.plan, makes the paths in data.plan and data.previous_stage absolute, and gives runs without a plan a
/// batch size.
void choose_plan(Json& data, bool embedded);

/// The options that a plans file gives to nnU-Net's own networks (stages, widths, kernels, strides); empty without a
/// file and for other networks.
Overrides plan_file_options(const Overrides& base, const Overrides& set, const Architecture& architecture);

}  // namespace m3d
