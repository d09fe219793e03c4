#include "datasets/sampling/augmentation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "datasets/sampling/augmentation_operations.h"

namespace m3d {
namespace {

constexpr double kDegree = std::numbers::pi / 180;

// nnUNetTrainer.get_training_transforms and configure_rotation_dummyDA_mirroring_and_inital_patch_size, nnU-Net 2.8.1.
constexpr double kAnisotropy = 3;   // ANISO_THRESHOLD
constexpr double kLongSlice = 1.5;  // single slices longer than this turn by kLongSliceAngle only
constexpr double kLongSliceAngle = 15 * kDegree;
constexpr double kRotation = 0.2, kScaling = 0.2, kNoise = 0.1, kBlur = 0.2, kBrightness = 0.15, kContrast = 0.15,
                 kLowResolution = 0.25, kInvertedGamma = 0.1, kGamma = 0.3;
constexpr double kBlurChannel = 0.5, kLowResolutionChannel = 0.5;
constexpr double kSmallestScale = 0.85;  // for which the loader's patch is made

double largest_angle(const Shape3& patch) {
  if (!augments_slices(patch)) return 30 * kDegree;
  const auto [shorter, longer] = std::minmax(patch[1], patch[2]);
  const bool long_slice = patch[0] == 1 && static_cast<double>(longer) > kLongSlice * static_cast<double>(shorter);
  return long_slice ? kLongSliceAngle : 180 * kDegree;
}

/// Below or above 1 with equal probability, uniform on that side (batchgenerators' contrast range).
float draw_factor(double low, double high, RandomStream& random) {
  const bool below = random.uniform() < 0.5;
  return static_cast<float>(below ? random.uniform(low, 1) : random.uniform(1, high));
}

std::vector<float> draw_factors(double probability, double low, double high, std::int64_t channels,
                                RandomStream& random) {
  std::vector<float> factors;
  if (random.uniform() >= probability) return factors;
  for (std::int64_t c = 0; c < channels; ++c) factors.push_back(draw_factor(low, high, random));
  return factors;
}

/// Uniform over the whole range.
std::vector<float> draw_plain_factors(double probability, double low, double high, std::int64_t channels,
                                      RandomStream& random) {
  std::vector<float> factors;
  if (random.uniform() >= probability) return factors;
  for (std::int64_t c = 0; c < channels; ++c) factors.push_back(static_cast<float>(random.uniform(low, high)));
  return factors;
}

/// Above 1 shrinks. The earlier versions shrink as often as they enlarge.
double draw_zoom(Augmentation kind, RandomStream& random) {
  return kind == Augmentation::nnunet_v1 ? draw_factor(0.7, 1.4, random) : random.uniform(0.7, 1.4);
}

std::optional<Matrix3> draw_spatial(Augmentation kind, const Shape3& patch, RandomStream& random) {
  const bool rotate = random.uniform() < kRotation, scale = random.uniform() < kScaling;
  if (!rotate && !scale) return {};
  const double limit = largest_angle(patch);
  std::array<double, 3> angles{};
  if (rotate)
    for (double& angle : angles) angle = random.uniform(-limit, limit);
  const double factor = scale ? draw_zoom(kind, random) : 1;
  if (augments_slices(patch)) return planar_matrix(angles[2], factor);
  return spatial_matrix(angles, {factor, factor, factor});
}

template <class Value, class Draw>
std::vector<std::optional<Value>> draw_for_channels(double probability, double of_channel, std::int64_t channels,
                                                    RandomStream& random, const Draw& draw) {
  std::vector<std::optional<Value>> values;
  if (random.uniform() >= probability) return values;
  for (std::int64_t c = 0; c < channels; ++c) {
    const bool chosen = random.uniform() < of_channel;
    values.push_back(chosen ? std::optional<Value>(draw()) : std::nullopt);
  }
  return values;
}

void augment_channel(const SampleAugmentation& augmentation, std::size_t c, const Shape3& patch,
                     std::span<float> channel) {
  if (augmentation.noise_deviation > 0)
    add_gaussian_noise(channel, augmentation.noise_deviation, augmentation.noise_key + (std::uint64_t{c} << 40));
  const bool earlier = augmentation.kind == Augmentation::nnunet_v1;
  if (c < augmentation.blur.size() && augmentation.blur[c])
    earlier ? blur_by_scipy(channel, patch, (*augmentation.blur[c])[0]) : blur(channel, patch, *augmentation.blur[c]);
  if (c < augmentation.brightness.size()) multiply_brightness(channel, augmentation.brightness[c]);
  if (c < augmentation.contrast.size()) change_contrast(channel, augmentation.contrast[c]);
  if (c < augmentation.low_resolution.size() && augmentation.low_resolution[c])
    (earlier ? lower_resolution_by_spline : lower_resolution)(channel, patch, *augmentation.low_resolution[c],
                                                              augments_slices(patch));
  if (c < augmentation.inverted_gamma.size())
    change_gamma(channel, {.gamma = augmentation.inverted_gamma[c], .invert = true});
  if (c < augmentation.gamma.size()) change_gamma(channel, {.gamma = augmentation.gamma[c]});
}

}  // namespace

bool augments_slices(const Shape3& patch) {
  const auto longest = *std::max_element(patch.begin(), patch.end());
  return patch[0] == 1 || static_cast<double>(longest) > kAnisotropy * static_cast<double>(patch[0]);
}

Shape3 initial_patch_size(const Shape3& patch) {
  const double angle = std::min(largest_angle(patch), 90 * kDegree);
  const double cosine = std::cos(angle), sine = std::sin(angle);
  const auto [z, y, x] =
      std::array{static_cast<double>(patch[0]), static_cast<double>(patch[1]), static_cast<double>(patch[2])};
  // The corner (z, y, x) turned about each axis in turn, as the original turns it: its larger coordinates count.
  const std::array<std::array<double, 3>, 3> turned = {{{z, y * cosine + x * sine, x * cosine - y * sine},
                                                        {z * cosine - x * sine, y, z * sine + x * cosine},
                                                        {z * cosine + y * sine, y * cosine - z * sine, x}}};
  Shape3 size = patch;
  for (std::size_t axis = augments_slices(patch) ? 1 : 0; axis < 3; ++axis) {
    auto extent = static_cast<double>(patch[axis]);
    for (const auto& corner : turned) extent = std::max(extent, std::abs(corner[axis]));
    size[axis] = static_cast<std::int64_t>(extent / kSmallestScale);
  }
  return size;
}

SampleAugmentation draw_augmentation(Augmentation kind, const Shape3& patch, std::int64_t channels,
                                     RandomStream& random) {
  const bool earlier = kind == Augmentation::nnunet_v1;
  SampleAugmentation drawn;
  drawn.kind = kind;
  drawn.spatial = draw_spatial(kind, patch, random);
  if (random.uniform() < kNoise) drawn.noise_deviation = static_cast<float>(random.uniform(0, 0.1));
  drawn.noise_key = random.next();
  drawn.blur = draw_for_channels<std::array<double, 3>>(kBlur, kBlurChannel, channels, random, [&] {
    std::array<double, 3> sigma{};
    for (double& one : sigma) one = random.uniform(0.5, 1);
    if (earlier) sigma.fill(sigma[0]);
    return sigma;
  });
  drawn.brightness = earlier ? draw_plain_factors(kBrightness, 0.75, 1.25, channels, random)
                             : draw_factors(kBrightness, 0.75, 1.25, channels, random);
  drawn.contrast = draw_factors(kContrast, 0.75, 1.25, channels, random);
  drawn.low_resolution = draw_for_channels<double>(kLowResolution, kLowResolutionChannel, channels, random,
                                                   [&] { return random.uniform(0.5, 1); });
  drawn.inverted_gamma = draw_factors(kInvertedGamma, 0.7, 1.5, channels, random);
  drawn.gamma = draw_factors(kGamma, 0.7, 1.5, channels, random);
  return drawn;
}

void augment_intensities(const SampleAugmentation& augmentation, const Shape3& patch, std::span<float> image) {
  const auto voxels = static_cast<std::size_t>(voxel_count(patch));
  for (std::size_t c = 0; (c + 1) * voxels <= image.size(); ++c)
    augment_channel(augmentation, c, patch, image.subspan(c * voxels, voxels));
}

}  // namespace m3d
