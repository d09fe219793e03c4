#pragma once
// How the reference records' words map onto LeViT-UNet's options.
#include "architectures/record_forms.h"

namespace m3d {

/// "levit_unet_384", "levit_unet_192", "levit_unet_128s"; nothing for other names.
std::optional<RecordForm> levit_record_form(const std::string& name, const Json& config);

}  // namespace m3d
