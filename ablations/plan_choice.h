#pragma once
// What data.plan means for a run. Internal to this room.
#include "ablations/overrides.h"
#include "architectures/registry.h"

namespace m3d {

/// Resolves data.plan "auto" (embedded datasets keep their native spacing, others go by nnU-Net's plain planner),
/// identifies a plans file by its content, and gives runs without a plan a batch size. Throws UserError for an unknown
/// name and a file that is not there.
void choose_plan(Json& data, bool embedded);

/// The options that a plans file gives to nnU-Net's own networks (stages, widths, kernels, strides); empty without a
/// file and for other networks.
Overrides plan_file_options(const Overrides& base, const Overrides& set, const Architecture& architecture);

}  // namespace m3d
