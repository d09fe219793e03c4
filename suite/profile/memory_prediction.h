#pragma once
// What a network's training and inference will need of memory, before either is tried.
#include "suite/profile/profile.h"

namespace m3d {

/// Bytes of tensors. Scratch memory inside operators (oneDNN's, cuDNN's) and the program itself are not in it.
struct MemoryPrediction {
  std::int64_t parameters = 0;       // parameters and buffers
  std::int64_t optimiser = 0;        // its states
  std::int64_t activations = 0;      // kept for the backward pass, when the forward pass ends
  std::int64_t training_peak = 0;    // largest total during a training step, gradients and optimiser included
  std::int64_t inference_peak = 0;   // of one patch
};

/// Runs a training step and an inference pass on meta tensors (shapes without memory) and adds up what would be alive,
/// allocation by allocation. float32 whatever the precision of `request`: with bf16 less is needed. Nothing where the
/// network calls an operator whose shape function LibTorch lacks (meta_kernels.h has those that networks here need).
/// Throws what building the network throws.
std::optional<MemoryPrediction> predict_memory(const Architecture& architecture, const Json& options, const SpeedRequest& request);

/// Counts the bytes of CPU tensors that are alive while it lives, of allocations made by this thread.
class TensorMemoryMeter {
 public:
  TensorMemoryMeter();
  ~TensorMemoryMeter();
  TensorMemoryMeter(const TensorMemoryMeter&) = delete;
  TensorMemoryMeter& operator=(const TensorMemoryMeter&) = delete;
  std::int64_t peak_bytes() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace m3d
