#pragma once
// nnU-Net v2's training augmentation (nnunet_conventions.md §7): what is drawn for a sample, and its application.
// Sources: nnUNetTrainer.get_training_transforms of nnU-Net 2.8.1 and of 2.0 (the same until 2.4.2).
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "common/random.h"
#include "datasets/images/image.h"
#include "datasets/sampling/spatial_transform.h"

namespace m3d {

/// What patches undergo besides mirroring: nothing, nnU-Net v2's steps, or those of its versions 2.0 to 2.4, which went
/// through batchgenerators 0.25: spline interpolation, labels by a threshold, factors with other distributions.
enum class Augmentation { none, nnunet, nnunet_v1 };

/// What a sample undergoes. Empty or absent: the step is left out. Lists have an entry for each channel.
struct SampleAugmentation {
  Augmentation kind = Augmentation::nnunet;  // whose form the steps have
  std::optional<Matrix3> spatial;
  float noise_deviation = 0;  // 0: no noise
  std::uint64_t noise_key = 0;
  std::vector<std::optional<std::array<double, 3>>> blur;  // sigma in voxels along each axis
  std::vector<float> brightness, contrast;                 // factors
  std::vector<std::optional<double>> low_resolution;       // scale
  std::vector<float> inverted_gamma, gamma;
  std::array<bool, 3> mirrored{};  // by the sampler, for any augmentation
};

/// The patch is so much thinner along its first axis (three times) that it is turned and scaled slice by slice only:
/// nnU-Net's dummy 2D.
bool augments_slices(const Shape3& patch);

/// The patch that the loader cuts, large enough for the rotations (§6).
Shape3 initial_patch_size(const Shape3& patch);

/// Draws with nnU-Net's probabilities and ranges for a patch of `patch` voxels; `kind` is one of nnU-Net's.
SampleAugmentation draw_augmentation(Augmentation kind, const Shape3& patch, std::int64_t channels,
                                     RandomStream& random);

/// Steps 2 to 8: `image` is [C, D, H, W].
void augment_intensities(const SampleAugmentation& augmentation, const Shape3& patch, std::span<float> image);

}  // namespace m3d
