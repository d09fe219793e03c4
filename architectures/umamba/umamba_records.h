#pragma once
// How the reference records' words map onto U-Mamba's options and blocks.
#include "architectures/record_forms.h"

namespace m3d {

/// "umambabot", "umambaenc"; nothing for other names.
std::optional<RecordForm> umamba_record_form(const std::string& name, const Json& config);

/// "umamba_block_{mambalayer_patch, mambalayer_channel, resblock}".
std::optional<RecordBlock> umamba_record_block(const std::string& name, const Json& config);

}  // namespace m3d
