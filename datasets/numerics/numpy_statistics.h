#pragma once
// Statistics as numpy computes them, to the last bit where nnU-Net's files depend on it. Internal to this room.
#include <span>
#include <vector>

namespace m3d {

/// numpy.percentile(values, 100 * fraction), method "linear". Orders `values` anew. They must not be empty.
double numpy_quantile(std::span<double> values, double fraction);

/// The same for several ascending fractions of float32 values, which stay as they are. There may be 1e8 of them.
std::vector<double> numpy_quantiles(std::span<const float> values, const std::vector<double>& fractions);

/// numpy.median: the middle value, or the mean of the two middle ones.
double numpy_median(std::vector<double> values);

/// numpy's pairwise sum of float32 values in float32.
float numpy_sum(std::span<const float> values);
/// numpy.std of float32 values (population), given numpy.mean of them.
float numpy_standard_deviation(std::span<const float> values, float mean);

}  // namespace m3d
