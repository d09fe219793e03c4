#pragma once
// What the second stage of a cascade sees of the first: its segmentation, one channel a foreground label, spoilt at
// random so that the network does not rely on it. Source: nnU-Net 2.8.1, nnUNetTrainer.get_training_transforms
// (is_cascaded), and batchgeneratorsv2 0.3.6, transforms/nnunet (MoveSegAsOneHotToDataTransform,
// ApplyRandomBinaryOperatorTransform, RemoveRandomConnectedComponentFromOneHotEncodingTransform).
#include <cstdint>
#include <span>
#include <vector>

#include "common/random.h"
#include "datasets/images/image.h"

namespace m3d {

/// Masks of 0 and 1, [L, D, H, W]: channel i is 1 where the segmentation has labels[i].
std::vector<std::uint8_t> one_hot(std::span<const std::int16_t> segmentation, std::span<const int> labels);

enum class BinaryOperation { dilation, erosion, closing, opening };

/// One operation on the mask of a channel, with a ball of `radius` voxels. Voxels that the mask gains are taken from
/// all other channels; voxels that it loses become background.
struct BinaryStep {
  std::size_t channel = 0;
  BinaryOperation operation = BinaryOperation::dilation;
  double radius = 1;
};

/// Removes from the mask of a channel one of its components (26-connected) that cover less than 15 % of the patch: the
/// one at `choice` (in [0, 1)) of those, in the order of their first voxels.
struct ComponentRemoval {
  std::size_t channel = 0;
  double choice = 0;
};

/// What the masks of a sample undergo, in this order.
struct CascadeAugmentation {
  std::vector<BinaryStep> steps;
  std::vector<ComponentRemoval> removals;
};

/// With nnU-Net's probabilities and ranges, for `channels` labels.
CascadeAugmentation draw_cascade_augmentation(std::size_t channels, RandomStream& random);

/// `masks` [L, patch].
void augment_masks(const CascadeAugmentation& augmentation, const Shape3& patch, std::span<std::uint8_t> masks);

}  // namespace m3d
