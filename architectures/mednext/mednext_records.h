#pragma once
// How the reference records' words map onto MedNeXt's options.
#include "architectures/record_forms.h"

namespace m3d {

/// "mednext_k3", "mednext_k5"; nothing for other names.
std::optional<RecordForm> mednext_record_form(const std::string& name, const Json& config);

}  // namespace m3d
