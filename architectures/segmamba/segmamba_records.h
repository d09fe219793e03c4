#pragma once
// How the reference records' words map onto SegMamba's options and blocks.
#include "architectures/record_forms.h"

namespace m3d {

/// "segmamba"; nothing for other names.
std::optional<RecordForm> segmamba_record_form(const std::string& name, const Json& config);

/// "segmamba_block_{gsc, tom, mambalayer, mlp, unetr_res, unetr_up}".
std::optional<RecordBlock> segmamba_record_block(const std::string& name, const Json& config);

}  // namespace m3d
