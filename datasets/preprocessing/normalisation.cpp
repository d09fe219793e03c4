#include "datasets/preprocessing/normalisation.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "common/error.h"

namespace m3d {
namespace {

constexpr double kSmallestDivisor = 1e-8;

void normalise_ct(std::span<float> voxels, const ChannelStatistics& statistics) {
  const auto low = static_cast<float>(statistics.percentile_00_5),
             high = static_cast<float>(statistics.percentile_99_5);
  const auto mean = static_cast<float>(statistics.mean);
  const auto divisor = static_cast<float>(std::max(statistics.standard_deviation, kSmallestDivisor));
  for (float& value : voxels) value = (std::clamp(value, low, high) - mean) / divisor;
}

void normalise_z_score(std::span<float> voxels, std::span<const std::uint8_t> inside) {
  const auto counts = [&](std::size_t i) { return inside.empty() || inside[i] != 0; };
  double count = 0, sum = 0, squares = 0;
  for (std::size_t i = 0; i < voxels.size(); ++i)
    if (counts(i)) sum += voxels[i], ++count;
  if (count == 0) return;
  const double mean = sum / count;
  for (std::size_t i = 0; i < voxels.size(); ++i)
    if (counts(i)) squares += (voxels[i] - mean) * (voxels[i] - mean);
  const double divisor = std::max(std::sqrt(squares / count), kSmallestDivisor);
  for (std::size_t i = 0; i < voxels.size(); ++i)
    if (counts(i)) voxels[i] = static_cast<float>((voxels[i] - mean) / divisor);
}

void rescale(std::span<float> voxels) {
  const auto [low, high] = std::minmax_element(voxels.begin(), voxels.end());
  const float minimum = *low;
  const float range = std::max(*high - minimum, static_cast<float>(kSmallestDivisor));
  for (float& value : voxels) value = (value - minimum) / range;
}

void scale_colours(std::span<float> voxels) {
  const auto [low, high] = std::minmax_element(voxels.begin(), voxels.end());
  if (*low < 0 || *high > 255)
    throw UserError("a channel named rgb_to_0_1 has values outside 0 … 255; rename it in dataset.json");
  for (float& value : voxels) value /= 255.0F;
}

}  // namespace

Normalisation normalisation_of(const std::string& channel_name) {
  std::string name = channel_name;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name == "ct") return Normalisation::ct;
  if (name == "nonorm") return Normalisation::none;
  if (name == "rescale_to_0_1") return Normalisation::rescale_to_0_1;
  if (name == "rgb_to_0_1") return Normalisation::rgb_to_0_1;
  return Normalisation::z_score;
}

void normalise(std::span<float> voxels, std::span<const std::uint8_t> inside, Normalisation scheme,
               const ChannelStatistics& statistics) {
  switch (scheme) {
    case Normalisation::ct:
      return normalise_ct(voxels, statistics);
    case Normalisation::z_score:
      return normalise_z_score(voxels, inside);
    case Normalisation::rescale_to_0_1:
      return rescale(voxels);
    case Normalisation::rgb_to_0_1:
      return scale_colours(voxels);
    case Normalisation::none:
      return;
  }
}

}  // namespace m3d
