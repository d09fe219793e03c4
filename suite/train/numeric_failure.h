#pragma once
// Where NaN, infinity and the end of memory came from.
#include <functional>
#include <string>

#include "architectures/registry.h"
#include "common/error.h"

namespace m3d {

/// The loss or the gradients are no longer finite: the run's status is "diverged".
class Diverged : public RunError {
 public:
  using RunError::RunError;
};

/// Memory would not suffice: the run's status is "oom" though nothing was tried.
class OutOfMemory : public RunError {
 public:
  using RunError::RunError;
};

/// Memory ran out while computing: the run's status is "oom". LibTorch reports it in several ways.
bool is_out_of_memory(const std::exception& error);

/// Names the first thing that is not finite in `forward`, a forward pass of `network`: a parameter, else the first
/// operator whose result has NaN or infinity. An operator belongs to the module whose parameters it reads, or else to
/// the last such module before it. In words for a message: "module encoder.0.norm (aten::native_layer_norm)".
std::string first_non_finite_output(const Network& network, const std::function<void()>& forward);

/// The module nearest to the loss that has a non-finite gradient (gradients run from the output to the input).
std::string first_non_finite_gradient(const Network& network);

}  // namespace m3d
