#pragma once
// The options of networks that nnU-Net plans (its own, U-Mamba, Taming Mambas) under the names of their constructors'
// arguments (dynamic_network_architectures/architectures/unet.py of MIC-DKFZ/dynamic-network-architectures), and what
// they mean for the blocks.
#include "architectures/blocks/unet_decoder.h"
#include "architectures/registry.h"

namespace m3d {

/// conv_op, n_stages, features_per_stage and what they are planned from, kernel_sizes, strides.
std::vector<OptionSpec> unet_topology_options();
/// conv_bias, norm_op and its arguments, nonlin and its slope, deep_supervision.
std::vector<OptionSpec> unet_style_options();
/// dropout_op and its rate.
std::vector<OptionSpec> unet_dropout_options();
/// block, bottleneck_channels, stem_channels.
std::vector<OptionSpec> unet_residual_options();

/// 2 or 3.
int unet_dimensions(const Json& options);
/// Without dropout where it is not among the options.
UnitStyle unet_style(const Json& options);
/// For a patch [D, H, W]: what is left empty is planned from it. Throws UserError where options contradict each other.
UnetStages unet_stages(const Json& options, const std::array<std::int64_t, 3>& patch);
/// An option's value for each of so many stages: one given value stands for all.
std::vector<std::int64_t> unet_counts(const Json& options, const std::string& name, std::size_t stages);
/// Inner widths of BottleneckD, an entry a stage; 0: BasicBlockD.
std::vector<std::int64_t> unet_bottlenecks(const Json& options, std::size_t stages);

/// nnU-Net's topology for voxels of equal edges (network_topology.py of MIC-DKFZ/nnUNet), at most `most` stages: every
/// axis is halved while it is even and stays at least 4 voxels long (6 where it is the only one left).
std::vector<Triple> planned_strides(const std::array<std::int64_t, 3>& patch, int dimensions, std::size_t most);

/// For the architecture registry: the options that hold widths; the names under which the original's state has the same
/// tensors twice.
std::vector<WidthOption> unet_widths();
std::vector<std::pair<std::string, std::string>> unet_state_aliases();
/// Divisors of the input; a planned encoder's depend on the patch.
std::array<std::int64_t, 3> unet_divisors(const Json& options);
/// Outputs in training, of as many stages as a patch of 128 voxels has where they are planned.
int unet_outputs(const Json& options);
/// Throws UserError where the strides do not fit the patch, saying which sizes do.
void require_unet_patch(const std::array<std::int64_t, 3>& patch, const UnetStages& stages, const UnitStyle& style);

}  // namespace m3d
