#pragma once
// Helpers of the operator tests: gradients against finite differences, closeness, operator records.
#include <torch/torch.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/hash.h"
#include "kernels/simd/instruction_set.h"

namespace m3d::test {

using Tensors = std::vector<at::Tensor>;
using OptionalTensor = std::optional<at::Tensor>;

inline const std::vector<InstructionSet> all_instruction_sets{InstructionSet::portable, InstructionSet::avx2,
                                                              InstructionSet::avx512};

/// The instruction set for the life of this object.
class UseInstructionSet {
 public:
  explicit UseInstructionSet(InstructionSet set) { use_instruction_set(set); }
  ~UseInstructionSet() { use_instruction_set(best_instruction_set()); }
};

/// max |actual - expected| / max |expected| (absolute where that is zero).
inline double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) return 1e300;
  if (expected.numel() == 0) return 0;
  const double scale = expected.abs().max().item<double>();
  const double error = (actual.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
  return scale > 0 ? error / scale : error;
}

/// Gradients of `loss` with respect to `inputs` (leaves are made).
inline Tensors gradients(const std::function<at::Tensor(const Tensors&)>& loss, Tensors inputs) {
  for (at::Tensor& input : inputs) input = input.detach().clone().requires_grad_(true);
  return torch::autograd::grad({loss(inputs)}, inputs);
}

/// The largest relative error of the gradients of `loss` against central differences in float64.
inline double gradient_error(const std::function<at::Tensor(const Tensors&)>& loss, const Tensors& inputs) {
  const Tensors analytic = gradients(loss, inputs);
  at::NoGradGuard no_grad;
  double worst = 0;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    at::Tensor numeric = torch::empty_like(analytic[k], at::MemoryFormat::Contiguous);
    Tensors moved = inputs;
    for (std::int64_t i = 0; i < numeric.numel(); ++i) {
      double difference = 0;
      for (const double step : {1e-5, -1e-5}) {
        moved[k] = inputs[k].contiguous().clone();
        moved[k].view({-1})[i] += step;
        difference += loss(moved).item<double>() / (2 * step);
      }
      numeric.view({-1})[i] = difference;
    }
    worst = std::max(worst, relative_error(analytic[k], numeric));
  }
  return worst;
}

/// u(name, i) of the reference records, as a tensor.
inline at::Tensor fill(const std::string& name, at::IntArrayRef shape) {
  at::Tensor tensor = torch::empty(shape, torch::kDouble);
  const std::uint64_t hash = fnv1a64(name);
  double* values = tensor.data_ptr<double>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<double>(splitmix64(hash + static_cast<std::uint64_t>(i)) >> 11) * 0x1.0p-53 * 2 - 1;
  return tensor;
}

/// A recorded tensor: {shape, values}.
inline at::Tensor recorded(const nlohmann::json& tensor) {
  return torch::tensor(tensor.at("values").get<std::vector<double>>(), torch::kDouble)
      .view(tensor.at("shape").get<std::vector<std::int64_t>>());
}

nlohmann::json load_record(const std::string& name);

/// The operators that the dispatcher saw by name while `run` ran, those of m3d without an underscored suffix.
std::vector<std::string> dispatched(const std::function<void()>& run);

/// The largest number of bytes that tensors held at one time while `run` ran, beyond those held before.
std::int64_t peak_tensor_bytes(const std::function<void()>& run);

}  // namespace m3d::test
