#pragma once
// How the reference records' words map onto the options and blocks of Taming Mambas.
#include "architectures/record_forms.h"

namespace m3d {

/// "taming_segmamba", "taming_segmambaskip", "taming_bisegmamba", "taming_multisegmamba"; nothing for other names.
std::optional<RecordForm> taming_record_form(const std::string& name, const Json& config);

/// "taming_block_{mambatrans, mambalayer_uni, mambalayer_bi, multi}".
std::optional<RecordBlock> taming_record_block(const std::string& name, const Json& config);

}  // namespace m3d
