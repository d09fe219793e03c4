#pragma once
// Problems of differentiable operators with one output, checked against their plain form in float64.
#include "kernels/benchmark/benchmark.h"

namespace m3d::bench {

using Operator = std::function<at::Tensor(const Tensors&)>;

/// An operator and its reference on the same inputs. With `backward` a call is forward and backward, and its results
/// are the output and the gradient of every input.
struct OperatorCall {
  Operator ours, reference;
  Tensors inputs;
  bool backward = false;
  /// Depthwise operators: which dimension of each input, and of the output, counts the channels (negative: from the
  /// end). The reference, too slow for all of them, then runs on eight, spread evenly with the first and the last.
  /// Empty: it runs on everything.
  std::vector<std::int64_t> input_channels = {};
  std::int64_t output_channels = -1;
};

/// The problem whose work is `work`. The reference sees the inputs' own rounded values in float64. Tolerances, relative
/// to the largest value of each result: float32 2e-5 (sums over 10^5 voxels in the weights' gradients), 16-bit 2e-2.
Problem make_problem(const OperatorCall& call, const Work& work);

/// max |actual - expected| / max |expected|, the largest over the pairs; infinite where sizes differ or a value that
/// should be finite is not.
double largest_relative_error(const Tensors& actual, const Tensors& expected);

/// Bytes of inputs and output, each moved once; with `backward` their gradients too, and what backward reads again.
double bytes_moved(const Tensors& inputs, const at::Tensor& output, bool backward);

/// Whether the operator takes these inputs: false where the call throws.
bool takes(const Operator& call, const Tensors& inputs);

}  // namespace m3d::bench
