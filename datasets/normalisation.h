#pragma once
// Intensity schemes by channel name (nnunet_conventions.md §3, §4). Internal to this room.
#include <cstdint>
#include <span>
#include <string>

#include "datasets/preprocessing.h"

namespace m3d {

enum class Normalisation { ct, z_score, none, rescale_to_0_1, rgb_to_0_1 };

/// By the channel's name, case ignored; names without a scheme of their own are z-scored.
Normalisation normalisation_of(const std::string& channel_name);

/// Normalises the voxels of one cropped channel in place. `labels` (-1 outside the non-zero mask) is used by the
/// z-score when `inside_only`: statistics of the voxels inside, others left as they are. Sums are in double.
void normalise(std::span<float> voxels, std::span<const std::int16_t> labels, Normalisation scheme,
               const ChannelStatistics& statistics, bool inside_only);

}  // namespace m3d
