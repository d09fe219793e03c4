// Compiled with -ffp-contract=off: every instruction set gives the same voxels.
#include "datasets/numerics/spline_lines.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "datasets/numerics/vector_clones.h"

namespace m3d {
namespace {

const double kPole = std::sqrt(3.0) - 2;  // of the cubic B-spline; its gain is 6
// Terms of the geometric series that starts the filter: |pole|^48 is 1e-28.
constexpr std::int64_t kSeriesTerms = 48;

M3D_VECTOR_CLONES
void scale_line(double* __restrict line, std::int64_t count, double factor) {
  for (std::int64_t w = 0; w < count; ++w) line[w] *= factor;
}

/// c[0] of the causal recursion over a line of n samples that continues mirrored beyond both ends.
void start_causal(double* lines, std::int64_t stride, std::int64_t count, std::int64_t n) {
  const double mirrored = std::pow(kPole, static_cast<double>(n));
  const std::int64_t terms = std::min(n, kSeriesTerms);
  for (std::int64_t w = 0; w < count; ++w) {
    const double* line = lines + w;
    double sum = line[0] + mirrored * line[(n - 1) * stride], power = kPole;
    for (std::int64_t i = 1; i < terms; ++i, power *= kPole)
      sum += power * (line[i * stride] + mirrored * line[(n - 1 - i) * stride]);
    lines[w] += sum * kPole / (1 - mirrored * mirrored);
  }
}

/// The same where the end samples themselves are the mirrors.
void start_causal_at_centres(double* lines, std::int64_t stride, std::int64_t count, std::int64_t n) {
  const double mirrored = std::pow(kPole, static_cast<double>(n - 1));
  const std::int64_t terms = std::min(n - 1, kSeriesTerms);
  for (std::int64_t w = 0; w < count; ++w) {
    const double* line = lines + w;
    double sum = line[0] + mirrored * line[(n - 1) * stride], power = kPole;
    for (std::int64_t i = 1; i < terms; ++i, power *= kPole)
      sum += power * (line[i * stride] + mirrored * line[(n - 1 - i) * stride]);
    lines[w] = sum / (1 - mirrored * mirrored);
  }
}

M3D_VECTOR_CLONES
void run_causal(double* lines, std::int64_t stride, std::int64_t count, std::int64_t n, double pole) {
  for (std::int64_t i = 1; i < n; ++i) {
    double* __restrict line = lines + i * stride;
    const double* __restrict before = line - stride;
    for (std::int64_t w = 0; w < count; ++w) line[w] += pole * before[w];
  }
}

M3D_VECTOR_CLONES
void run_anticausal(double* lines, std::int64_t stride, std::int64_t count, std::int64_t n, double pole) {
  for (std::int64_t i = n - 2; i >= 0; --i) {
    double* __restrict line = lines + i * stride;
    const double* __restrict after = line + stride;
    for (std::int64_t w = 0; w < count; ++w) line[w] = pole * (after[w] - line[w]);
  }
}

M3D_VECTOR_CLONES
void combine_four(const double* __restrict lines, std::int64_t stride, std::int64_t count,
                  const double* __restrict weights, double* __restrict result) {
  const double *a = lines, *b = a + stride, *c = b + stride, *d = c + stride;
  for (std::int64_t w = 0; w < count; ++w)
    result[w] = weights[0] * a[w] + weights[1] * b[w] + weights[2] * c[w] + weights[3] * d[w];
}

M3D_VECTOR_CLONES
void combine_two(const double* __restrict lines, std::int64_t stride, std::int64_t count,
                 const double* __restrict weights, double* __restrict result) {
  const double *a = lines, *b = a + stride;
  for (std::int64_t w = 0; w < count; ++w) result[w] = weights[0] * a[w] + weights[1] * b[w];
}

constexpr double kGain = 6;

void filter(double* lines, std::int64_t stride, std::int64_t count, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) scale_line(lines + i * stride, count, kGain);
  start_causal(lines, stride, count, n);
  run_causal(lines, stride, count, n, kPole);
  scale_line(lines + (n - 1) * stride, count, kPole / (kPole - 1));
  run_anticausal(lines, stride, count, n, kPole);
}

}  // namespace

void pad_and_filter(double* lines, std::int64_t stride, std::int64_t count, const AxisTaps& axis) {
  const auto row = [&](std::int64_t i) { return lines + i * stride; };
  for (std::int64_t i = 0; i < axis.front; ++i) std::copy_n(row(axis.front), count, row(i));
  for (std::int64_t i = 0; i < axis.back; ++i)
    std::copy_n(row(axis.front + axis.size - 1), count, row(axis.front + axis.size + i));
  if (axis.prefilter) filter(lines, stride, count, axis.padded());
}

void filter_mirrored(double* lines, std::int64_t stride, std::int64_t count, std::int64_t n) {
  if (n < 2) return;
  for (std::int64_t i = 0; i < n; ++i) scale_line(lines + i * stride, count, kGain);
  start_causal_at_centres(lines, stride, count, n);
  run_causal(lines, stride, count, n, kPole);
  double* last = lines + (n - 1) * stride;
  for (std::int64_t w = 0; w < count; ++w) last[w] = (kPole * last[w - stride] + last[w]) * kPole / (kPole * kPole - 1);
  run_anticausal(lines, stride, count, n, kPole);
}

void combine_taps(const double* lines, std::int64_t stride, std::int64_t count, const AxisTaps& axis,
                  std::int64_t index, double* result) {
  const auto at = static_cast<std::size_t>(index);
  const double* first = lines + axis.start[at] * stride;
  const double* weights = axis.weights.data() + index * axis.taps;
  if (axis.taps == 4)
    combine_four(first, stride, count, weights, result);
  else if (axis.taps == 2)
    combine_two(first, stride, count, weights, result);
  else
    std::copy_n(first, count, result);
}

}  // namespace m3d
