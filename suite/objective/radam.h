#pragma once
// Rectified Adam (Liu et al. 2020), which LibTorch has in Python only. Internal to this room.
#include <torch/torch.h>

namespace m3d {

/// Options, state and its serialisation are Adam's; weight decay is added to the gradient. The adaptive form begins
/// when the length of the approximated moving average exceeds 5 (the sixth step for beta2 = 0.999).
class RAdam : public torch::optim::AdamW {
 public:
  RAdam(std::vector<torch::Tensor> parameters, torch::optim::AdamWOptions options);
  torch::Tensor step(LossClosure closure = nullptr) override;

 private:
  void update(torch::Tensor& parameter, const torch::optim::AdamWOptions& options);
};

}  // namespace m3d
