#pragma once
// AdamW, Adam and SGD that read and write every tensor once a step, by the kernels behind PyTorch's option `fused`.
// LibTorch's own pass over all weights and averages ten times and more, which for networks of many weights is a good
// part of a step. Values differ from LibTorch's by rounding. Internal to this room.
#include <torch/torch.h>

namespace m3d {

/// Options, state and its serialisation are AdamW's.
class FusedAdam : public torch::optim::AdamW {
 public:
  enum class WeightDecay { decoupled, added_to_gradient };
  FusedAdam(std::vector<torch::Tensor> parameters, torch::optim::AdamWOptions options, WeightDecay weight_decay);
  torch::Tensor step(LossClosure closure = nullptr) override;

 private:
  void update(const torch::optim::AdamWOptions& options, const std::vector<torch::Tensor>& parameters);
  WeightDecay weight_decay_;
};

/// Options, state and its serialisation are SGD's.
class FusedSgd : public torch::optim::SGD {
 public:
  using torch::optim::SGD::SGD;
  torch::Tensor step(LossClosure closure = nullptr) override;

 private:
  void update(const torch::optim::SGDOptions& options, const std::vector<torch::Tensor>& parameters);
};

}  // namespace m3d
