#pragma once
// How the reference records' words map onto the options of nnU-Net's networks.
#include "architectures/record_forms.h"

namespace m3d {

/// "nnunet_plain", "nnunet_plain_2d", "nnunet_resenc"; nothing for other names.
std::optional<RecordForm> nnunet_record_form(const std::string& name, const Json& config);

}  // namespace m3d
