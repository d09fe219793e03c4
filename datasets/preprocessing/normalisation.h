#pragma once
// Intensity schemes by channel name (nnunet_conventions.md §3, §4). Internal to this room.
#include <cstdint>
#include <span>
#include <string>

#include "datasets/preprocessing/preprocessing.h"

namespace m3d {

enum class Normalisation { ct, z_score, none, rescale_to_0_1, rgb_to_0_1 };

/// By the channel's name, case ignored; names without a scheme of their own are z-scored.
Normalisation normalisation_of(const std::string& channel_name);

/// Normalises the voxels of one cropped channel in place. The z-score takes the statistics of the voxels where `inside`
/// is not 0, and leaves others as they are; an empty `inside` means all. Sums are in double.
void normalise(std::span<float> voxels, std::span<const std::uint8_t> inside, Normalisation scheme,
               const ChannelStatistics& statistics);

}  // namespace m3d
