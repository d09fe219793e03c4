#pragma once
// How the reference records of networks that nnU-Net plans say the options of unet_plan.h.
#include "architectures/record_config.h"

namespace m3d {

/// conv_op, n_stages, features_per_stage, kernel_sizes, strides, conv_bias, norm_op, nonlin, deep_supervision, dropout,
/// whose arguments stand in an object (norm_op_kwargs, …) or beside them (norm_eps, negative_slope, dropout_p, …).
/// Without `dropout` a config may name one, and nothing follows from it.
void copy_unet_plan(RecordConfig& config, Json& options, bool dropout);

/// A number or a list, where it is there, as a list.
void copy_list(RecordConfig& config, Json& options, const std::string& key);

/// A class by its name, with or without its module: "torch.nn.Conv3d" is "Conv3d".
std::string class_name(const std::string& path);

}  // namespace m3d
