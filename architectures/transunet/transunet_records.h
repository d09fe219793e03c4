#pragma once
// How the reference records' words map onto TransUNet's options.
#include "architectures/record_forms.h"

namespace m3d {

/// "transunet"; nothing for other names.
std::optional<RecordForm> transunet_record_form(const std::string& name, const Json& config);

}  // namespace m3d
