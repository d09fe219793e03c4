#pragma once
// MONAI's `norm_name`: a name, or a name with the layer's arguments ("group", {"num_groups": 4}); get_norm_layer of
// monai/networks/layers/utils.py. As options of ours the arguments stand beside the name.
#include "architectures/blocks/layers.h"
#include "architectures/record_config.h"
#include "common/option_schema.h"

namespace m3d {

/// norm_name and norm_num_groups, norm_affine, norm_eps, norm_momentum, norm_track_running_stats.
std::vector<OptionSpec> monai_norm_options(const std::string& default_name = "instance");
/// The norm that resolved options name. Its channels are still to be set.
VolumeNormShape monai_norm(const Json& options);
/// A record's norm_name, where it is there, into options.
void copy_monai_norm(RecordConfig& config, Json& options);

}  // namespace m3d
