#pragma once
// nnU-Net's soft Dice, (2 I + eps) / max(S + G + eps, floor), of one class or region.
#include <torch/torch.h>

#include <algorithm>

namespace m3d {

inline constexpr double kDiceSmoothing = 1e-5;
inline constexpr double kDiceFloor = 1e-8;

/// The share of one class or region in the loss, which is minus the mean coefficient over `terms` of them, times
/// `weight`; and its derivatives by one probability: `volume` at every voxel, and `overlap` on top where it is expected.
struct DiceTerm {
  double loss, overlap, volume;
};

inline DiceTerm dice_term(double intersection, double predicted, double expected, double weight, double terms) {
  const double numerator = 2 * intersection + kDiceSmoothing;
  const double denominator = std::max(predicted + expected + kDiceSmoothing, kDiceFloor);
  return {-(weight * numerator / denominator / terms), -2 * weight / denominator / terms,
          weight * numerator / (denominator * denominator) / terms};
}

/// The coefficients of sums in tensors: intersection I, volume S + G.
inline at::Tensor dice_of(const at::Tensor& intersection, const at::Tensor& volume) {
  return (2 * intersection + kDiceSmoothing) / (volume + kDiceSmoothing).clamp_min(kDiceFloor);
}

}  // namespace m3d
