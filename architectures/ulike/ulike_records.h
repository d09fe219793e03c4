#pragma once
// How the reference records' words map onto the Ulike family's options and blocks.
#include "architectures/record_forms.h"

namespace m3d {

/// "ulike_…" networks (a name without _figdec has the released decoder); nothing for other names.
std::optional<RecordForm> ulike_record_form(const std::string& name, const Json& config);

/// "ulike_block_…", "ulike_layers_…", "ulike_part_…", "ulike_stage_…" and "mamba_block_plain".
std::optional<RecordBlock> ulike_record_block(const std::string& name, const Json& config);

}  // namespace m3d
