#pragma once
// Loss scaling for training in fp16, whose gradients would otherwise vanish: as PyTorch's torch.amp.GradScaler with its
// defaults (initial scale 65536, doubled after 2000 good steps in a row, halved after a bad one).
#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace m3d {

/// What a checkpoint keeps of it.
struct LossScale {
  double scale = 65536;
  std::int64_t good_steps = 0;  // since the scale changed
};

class LossScaler {
 public:
  /// `state` must outlive this object; `growth_interval` good steps in a row double the scale.
  explicit LossScaler(LossScale& state, std::int64_t growth_interval = 2000)
      : state_(state), growth_interval_(growth_interval) {}

  torch::Tensor scale(const torch::Tensor& loss) const { return loss * state_.scale; }
  /// Divides the gradients by the scale. False where one of them is not finite: the step is to be left out.
  bool unscale(const std::vector<torch::Tensor>& parameters) const;
  /// After every step, taken or left out.
  void update(bool gradients_were_finite);

 private:
  LossScale& state_;
  std::int64_t growth_interval_;
};

}  // namespace m3d
