#include "datasets/sampling/augmentation_operations.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "common/hash.h"
#include "datasets/numerics/vector_clones.h"
#include "datasets/preprocessing/resize.h"

namespace m3d {
namespace {

constexpr float kSmallestRange = 1e-7F;  // as batchgeneratorsv2 divides

// ---- Elementary functions that vectorise: relative errors of some 1e-7 --------------------------------------------

/// log2 of a positive, normal number: exponent, and the series of atanh for a mantissa in [√½, √2).
inline float fast_log2(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;
  const float mantissa = std::bit_cast<float>(bits - (exponent << 23));
  const float t = (mantissa - 1) / (mantissa + 1), tt = t * t;
  const float series = 1 + tt * (1.0F / 3 + tt * (1.0F / 5 + tt * (1.0F / 7 + tt * (1.0F / 9))));
  return static_cast<float>(exponent) + 2 * std::numbers::log2e_v<float> * t * series;
}

/// 2^y for y in [-126, 127].
inline float fast_exp2(float y) {
  const float rounded = std::nearbyint(y);
  const float f = (y - rounded) * std::numbers::ln2_v<float>;
  const float series =
      1 + f * (1 + f * (1.0F / 2 + f * (1.0F / 6 + f * (1.0F / 24 + f * (1.0F / 120 + f * (1.0F / 720 + f / 5040))))));
  return series * std::bit_cast<float>((static_cast<std::int32_t>(rounded) + 127) << 23);
}

/// x^gamma for x in [0, 1] and moderate gamma.
inline float fast_power(float x, float gamma) {
  const float exponent = std::max(gamma * fast_log2(std::max(x, 1e-30F)), -126.0F);
  return x > 0 ? fast_exp2(exponent) : 0.0F;
}

/// sin(2π turns) for turns in [0, 2).
inline float fast_sine(float turns) {
  const float a = 4 * (turns - std::floor(turns));
  const float t = a <= 1 ? a : (a < 3 ? 2 - a : a - 4);  // sin(π/2 t), t in [-1, 1]
  const float x = t * (std::numbers::pi_v<float> / 2), xx = x * x;
  return x * (1 + xx * (-1.0F / 6 +
                        xx * (1.0F / 120 + xx * (-1.0F / 5040 + xx * (1.0F / 362880 - xx * (1.0F / 39916800))))));
}

// ---- Statistics ---------------------------------------------------------------------------------------------------

struct Statistics {
  double mean = 0, standard_deviation = 0;  // the unbiased one
  float minimum = 0, maximum = 0;
};

struct Sums {
  double sum = 0, squares = 0;
  float minimum = 0, maximum = 0;
};

/// Sums of the differences to `origin` (so that their squares lose no digits) and the extremes, in blocks that float32
/// sums carry.
M3D_VECTOR_CLONES Sums sums_of(const float* values, std::size_t count, float origin) {
  constexpr std::size_t kBlock = 1024, kLanes = 16;
  Sums sums{0, 0, values[0], values[0]};
  float low[kLanes], high[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) low[lane] = high[lane] = values[0];
  std::size_t i = 0;
  for (; i + kLanes <= count;) {
    const std::size_t end = std::min(i + kBlock, count - count % kLanes);
    float sum[kLanes] = {}, squares[kLanes] = {};
    for (; i < end; i += kLanes)
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const float value = values[i + lane], difference = value - origin;
        sum[lane] += difference;
        squares[lane] += difference * difference;
        low[lane] = value < low[lane] ? value : low[lane];
        high[lane] = value > high[lane] ? value : high[lane];
      }
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums.sum += sum[lane], sums.squares += squares[lane];
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    sums.minimum = std::min(sums.minimum, low[lane]);
    sums.maximum = std::max(sums.maximum, high[lane]);
  }
  for (; i < count; ++i) {
    const float difference = values[i] - origin;
    sums.sum += difference;
    sums.squares += difference * difference;
    sums.minimum = std::min(sums.minimum, values[i]);
    sums.maximum = std::max(sums.maximum, values[i]);
  }
  return sums;
}

Statistics statistics_of(std::span<const float> values) {
  const auto count = static_cast<double>(values.size());
  const float origin = values[values.size() / 2];
  const Sums sums = sums_of(values.data(), values.size(), origin);
  const double mean = sums.sum / count;
  const double variance = values.size() < 2 ? 0 : std::max(0.0, (sums.squares - mean * sums.sum) / (count - 1));
  return {origin + mean, std::sqrt(variance), sums.minimum, sums.maximum};
}

// ---- Loops over one channel ---------------------------------------------------------------------------------------

M3D_VECTOR_CLONES void scale_and_shift(float* values, std::size_t count, float factor, float shift) {
  for (std::size_t i = 0; i < count; ++i) values[i] = values[i] * factor + shift;
}

M3D_VECTOR_CLONES void stretch(float* values, std::size_t count, float mean, float factor, float low, float high) {
  for (std::size_t i = 0; i < count; ++i) {
    const float value = (values[i] - mean) * factor + mean;
    const float floored = value < low ? low : value;
    values[i] = floored > high ? high : floored;
  }
}

/// sign * (((sign * x - low) / range)^gamma * range + low)
M3D_VECTOR_CLONES void raise(float* values, std::size_t count, float sign, float low, float range, float gamma) {
  const float divisor = std::max(range, kSmallestRange);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = sign * (fast_power((sign * values[i] - low) / divisor, gamma) * range + low);
}

/// Two independent normal numbers from each of `count` hashes (Box and Muller).
M3D_VECTOR_CLONES void normal_pairs(const std::uint32_t* radii, const std::uint32_t* angles, std::size_t count,
                                    float* first, float* second) {
  constexpr float kUnit = 0x1p-24F;
  for (std::size_t i = 0; i < count; ++i) {
    const float u = (static_cast<float>(static_cast<std::int32_t>(radii[i] >> 8)) + 0.5F) * kUnit;
    const float turns = static_cast<float>(static_cast<std::int32_t>(angles[i] >> 8)) * kUnit;
    const float radius = std::sqrt(-2 * std::numbers::ln2_v<float> * fast_log2(u));
    first[i] = radius * fast_sine(turns + 0.25F);
    second[i] = radius * fast_sine(turns);
  }
}

M3D_VECTOR_CLONES void add_scaled(float* values, const float* addends, std::size_t count, float factor) {
  for (std::size_t i = 0; i < count; ++i) values[i] += addends[i] * factor;
}

/// target = Σ weights[t] * rows[t]
M3D_VECTOR_CLONES void combine(const float* const* rows, const float* weights, std::size_t taps, std::size_t count,
                               float* target) {
  constexpr std::size_t kBlock = 512;  // what is summed stays in the first cache
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, count);
    for (std::size_t i = begin; i < end; ++i) target[i] = weights[0] * rows[0][i];
    for (std::size_t t = 1; t < taps; ++t) {
      const float* row = rows[t];
      const float weight = weights[t];
      for (std::size_t i = begin; i < end; ++i) target[i] += weight * row[i];
    }
  }
}

// ---- Blur ---------------------------------------------------------------------------------------------------------

/// How a line goes on beyond its ends: without its edge, or with it repeated.
enum class Reflection { about_edge, with_edge };

/// Mirrors an index into [0, size).
std::int64_t reflected(std::int64_t i, std::int64_t size, Reflection reflection) {
  if (size == 1) return 0;
  const std::int64_t extra = reflection == Reflection::with_edge ? 1 : 0;
  const std::int64_t period = 2 * (size - 1 + extra);
  i = ((i % period) + period) % period;
  return i < size ? i : period - extra - i;
}

/// A Gaussian's weights along an axis, and what it is applied to beyond the ends.
struct Window {
  std::vector<float> weights;
  Reflection reflection;
  std::int64_t reach() const { return std::ssize(weights) / 2; }
};

Window gaussian_window(double sigma, std::int64_t taps, Reflection reflection) {
  Window window{{}, reflection};
  double sum = 0;
  for (std::int64_t i = 0; i < taps; ++i) {
    const double x = (static_cast<double>(i) - static_cast<double>(taps - 1) / 2) / sigma;
    window.weights.push_back(static_cast<float>(std::exp(-0.5 * x * x)));
    sum += window.weights.back();
  }
  for (float& weight : window.weights) weight = static_cast<float>(weight / sum);
  return window;
}

/// Blurs along an axis of `lines` rows of `length` values each: source [lines, length] to target.
void blur_lines(const float* source, std::int64_t lines, std::int64_t length, const Window& window, float* target) {
  std::vector<const float*> rows(window.weights.size());
  for (std::int64_t line = 0; line < lines; ++line) {
    for (std::size_t t = 0; t < rows.size(); ++t)
      rows[t] =
          source + reflected(line + static_cast<std::int64_t>(t) - window.reach(), lines, window.reflection) * length;
    combine(rows.data(), window.weights.data(), rows.size(), static_cast<std::size_t>(length), target + line * length);
  }
}

/// Blurs along the contiguous axis.
void blur_rows(float* values, std::int64_t rows, std::int64_t length, const Window& window) {
  const std::int64_t reach = window.reach();
  std::vector<float> padded(static_cast<std::size_t>(length + 2 * reach));
  std::vector<const float*> shifted(window.weights.size());
  for (std::size_t t = 0; t < shifted.size(); ++t) shifted[t] = padded.data() + t;
  for (std::int64_t row = 0; row < rows; ++row) {
    float* line = values + row * length;
    std::copy(line, line + length, padded.begin() + reach);
    for (std::int64_t i = 1; i <= reach; ++i) {
      padded[static_cast<std::size_t>(reach - i)] = line[reflected(-i, length, window.reflection)];
      padded[static_cast<std::size_t>(reach + length - 1 + i)] =
          line[reflected(length - 1 + i, length, window.reflection)];
    }
    combine(shifted.data(), window.weights.data(), shifted.size(), static_cast<std::size_t>(length), line);
  }
}

void blur_axes(std::span<float> channel, const Shape3& shape, const std::array<Window, 3>& windows) {
  const std::int64_t plane = shape[1] * shape[2];
  std::vector<float> copy(channel.begin(), channel.end());
  if (shape[0] > 1) blur_lines(copy.data(), shape[0], plane, windows[0], channel.data());
  for (std::int64_t z = 0; z < shape[0] && shape[1] > 1; ++z) {
    const auto from = channel.begin() + z * plane;
    std::copy(from, from + plane, copy.begin());
    blur_lines(copy.data(), shape[1], shape[2], windows[1], channel.data() + z * plane);
  }
  if (shape[2] > 1) blur_rows(channel.data(), shape[0] * shape[1], shape[2], windows[2]);
}

// ---- Resolution ---------------------------------------------------------------------------------------------------

/// For each of `wanted` positions the lower of two neighbours among `given`, and the weight of the upper one.
struct LinearTable {
  std::vector<std::int64_t> lower, upper;
  std::vector<float> weight;
};

LinearTable linear_table(std::int64_t given, std::int64_t wanted) {
  LinearTable table;
  const float ratio = static_cast<float>(given) / static_cast<float>(wanted);
  for (std::int64_t i = 0; i < wanted; ++i) {
    const float position = std::max(0.0F, ratio * (static_cast<float>(i) + 0.5F) - 0.5F);
    const auto lower = std::min(static_cast<std::int64_t>(position), given - 1);
    table.lower.push_back(lower);
    table.upper.push_back(std::min(lower + 1, given - 1));
    table.weight.push_back(std::clamp(position - static_cast<float>(lower), 0.0F, 1.0F));
  }
  return table;
}

std::vector<std::int64_t> nearest_table(std::int64_t given, std::int64_t wanted) {
  std::vector<std::int64_t> table;
  const float ratio = static_cast<float>(given) / static_cast<float>(wanted);
  for (std::int64_t i = 0; i < wanted; ++i)
    table.push_back(std::min(given - 1, static_cast<std::int64_t>((static_cast<float>(i) + 0.5F) * ratio)));
  return table;
}

M3D_VECTOR_CLONES void blend(const float* lower, const float* upper, float weight, std::size_t count, float* target) {
  for (std::size_t i = 0; i < count; ++i) target[i] = (1 - weight) * lower[i] + weight * upper[i];
}

/// One coarse plane [h, w], its values the nearest of the fine plane's, stretched to [H, W] (through rows [h, W]).
void stretched_plane(const float* plane, const Shape3& fine, const std::vector<std::int64_t>& nearest_y,
                     const std::vector<std::int64_t>& nearest_x, const LinearTable& y, const LinearTable& x,
                     std::vector<float>& rows, float* target) {
  const auto width = static_cast<std::size_t>(fine[2]);
  for (std::size_t row = 0; row < nearest_y.size(); ++row) {
    const float* line = plane + nearest_y[row] * fine[2];
    for (std::size_t i = 0; i < width; ++i) {
      const float lower = line[nearest_x[static_cast<std::size_t>(x.lower[i])]];
      const float upper = line[nearest_x[static_cast<std::size_t>(x.upper[i])]];
      rows[row * width + i] = (1 - x.weight[i]) * lower + x.weight[i] * upper;
    }
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(fine[1]); ++i)
    blend(rows.data() + static_cast<std::size_t>(y.lower[i]) * width,
          rows.data() + static_cast<std::size_t>(y.upper[i]) * width, y.weight[i], width, target + i * width);
}

/// One pass: each row changes places with its counterpart.
template <class T>
void mirror_values(std::span<T> values, const Shape3& shape, const std::array<bool, 3>& axes) {
  const auto [depth, height, width] = shape;
  for (std::int64_t z = 0; z < depth; ++z)
    for (std::int64_t y = 0; y < height; ++y) {
      const std::int64_t row = z * height + y;
      const std::int64_t other = (axes[0] ? depth - 1 - z : z) * height + (axes[1] ? height - 1 - y : y);
      if (other < row) continue;
      const auto line = values.begin() + row * width, counterpart = values.begin() + other * width;
      if (other > row) std::swap_ranges(line, line + width, counterpart);
      if (axes[2]) std::reverse(line, line + width);
      if (axes[2] && other > row) std::reverse(counterpart, counterpart + width);
    }
}

}  // namespace

void add_gaussian_noise(std::span<float> channel, float standard_deviation, std::uint64_t key) {
  constexpr std::size_t kPairs = 256;
  std::uint32_t radii[kPairs], angles[kPairs];
  float normal[2 * kPairs];
  for (std::size_t begin = 0; begin < channel.size(); begin += 2 * kPairs) {
    for (std::size_t i = 0; i < kPairs; ++i) {
      const std::uint64_t bits = splitmix64(key + begin / 2 + i);
      radii[i] = static_cast<std::uint32_t>(bits >> 32);
      angles[i] = static_cast<std::uint32_t>(bits);
    }
    normal_pairs(radii, angles, kPairs, normal, normal + kPairs);
    add_scaled(channel.data() + begin, normal, std::min(2 * kPairs, channel.size() - begin), standard_deviation);
  }
}

std::int64_t blur_taps(double sigma, double truncate) {
  const double wanted = sigma * truncate + 0.5, rounded = std::nearbyint(wanted);  // ties to even, as Python rounds
  const auto taps = static_cast<std::int64_t>(rounded);
  if (taps % 2 != 0) return std::max<std::int64_t>(taps, 1);
  return std::max<std::int64_t>(wanted >= rounded ? taps + 1 : taps - 1, 1);
}

void blur(std::span<float> channel, const Shape3& shape, const std::array<double, 3>& sigma, double truncate) {
  const auto window = [&](double one) {
    return gaussian_window(one, blur_taps(one, truncate), Reflection::about_edge);
  };
  blur_axes(channel, shape, {window(sigma[0]), window(sigma[1]), window(sigma[2])});
}

void blur_by_scipy(std::span<float> channel, const Shape3& shape, double sigma) {
  const std::int64_t radius = static_cast<std::int64_t>(4 * sigma + 0.5);
  const Window window = gaussian_window(sigma, 2 * radius + 1, Reflection::with_edge);
  blur_axes(channel, shape, {window, window, window});
}

void multiply_brightness(std::span<float> channel, float factor) {
  scale_and_shift(channel.data(), channel.size(), factor, 0);
}

void change_contrast(std::span<float> channel, float factor) {
  const Statistics before = statistics_of(channel);
  stretch(channel.data(), channel.size(), static_cast<float>(before.mean), factor, before.minimum, before.maximum);
}

Shape3 lowered_shape(const Shape3& shape, double scale, bool keep_first_axis) {
  Shape3 lowered = shape;
  for (std::size_t axis = keep_first_axis ? 1 : 0; axis < 3; ++axis)
    lowered[axis] =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(std::nearbyint(static_cast<double>(shape[axis]) * scale)));
  return lowered;
}

void lower_resolution(std::span<float> channel, const Shape3& shape, double scale, bool keep_first_axis) {
  const Shape3 low = lowered_shape(shape, scale, keep_first_axis);
  if (low == shape) return;
  const auto nearest_z = nearest_table(shape[0], low[0]), nearest_y = nearest_table(shape[1], low[1]),
             nearest_x = nearest_table(shape[2], low[2]);
  const LinearTable z = linear_table(low[0], shape[0]), y = linear_table(low[1], shape[1]),
                    x = linear_table(low[2], shape[2]);
  const auto plane = static_cast<std::size_t>(shape[1] * shape[2]);
  // A plane of the target is made of two stretched coarse planes; the coarse ones read fine planes that the target
  // overwrites, so that the source is a copy.
  const std::vector<float> source(channel.begin(), channel.end());
  std::vector<float> rows(static_cast<std::size_t>(low[1] * shape[2])), planes[2];
  std::int64_t held[2] = {-1, -1};
  for (auto& one : planes) one.resize(plane);
  const auto coarse = [&](std::int64_t index, std::int64_t other) -> const float* {
    for (std::size_t slot = 0; slot < 2; ++slot)
      if (held[slot] == index) return planes[slot].data();
    const std::size_t slot = held[0] == other ? 1 : 0;
    held[slot] = index;
    stretched_plane(source.data() + static_cast<std::size_t>(nearest_z[static_cast<std::size_t>(index)]) * plane, shape,
                    nearest_y, nearest_x, y, x, rows, planes[slot].data());
    return planes[slot].data();
  };
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape[0]); ++i) {
    const float* lower = coarse(z.lower[i], z.upper[i]);
    const float* upper = coarse(z.upper[i], z.lower[i]);
    blend(lower, upper, z.weight[i], plane, channel.data() + i * plane);
  }
}

void lower_resolution_by_spline(std::span<float> channel, const Shape3& shape, double scale, bool keep_first_axis) {
  const Shape3 low = lowered_shape(shape, scale, keep_first_axis);
  if (low == shape) return;
  std::vector<float> coarse(static_cast<std::size_t>(voxel_count(low)));
  resize_volume(channel.data(), shape, low, 0, coarse.data());
  resize_volume(coarse.data(), low, shape, 3, channel.data());
}

void change_gamma(std::span<float> channel, const GammaOptions& options) {
  const float sign = options.invert ? -1.0F : 1.0F;
  const Statistics before = statistics_of(channel);
  const float low = options.invert ? -before.maximum : before.minimum;
  raise(channel.data(), channel.size(), sign, low, before.maximum - before.minimum, options.gamma);
  if (!options.retain_stats) return;
  const Statistics after = statistics_of(channel);
  const double factor = before.standard_deviation / std::max(after.standard_deviation, double{kSmallestRange});
  scale_and_shift(channel.data(), channel.size(), static_cast<float>(factor),
                  static_cast<float>(before.mean - after.mean * factor));
}

void mirror(std::span<float> channel, const Shape3& shape, const std::array<bool, 3>& axes) {
  mirror_values(channel, shape, axes);
}
void mirror(std::span<std::int16_t> labels, const Shape3& shape, const std::array<bool, 3>& axes) {
  mirror_values(labels, shape, axes);
}

}  // namespace m3d
