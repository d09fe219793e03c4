#pragma once
// Layers that draw random numbers while training and pass their input on otherwise. They draw from torch's generator,
// which the trainer seeds from the step's number, so that a resumed run draws the same.
#include <torch/torch.h>

namespace m3d {

/// Zeroes single values with probability `rate` and scales the others by 1 / (1 - rate).
class Dropout : public torch::nn::Module {
 public:
  explicit Dropout(double rate) : rate_(rate) {}
  torch::Tensor forward(const torch::Tensor& x) const {
    return rate_ > 0 && is_training() ? torch::dropout(x, rate_, true) : x;
  }

 private:
  double rate_;
};

/// Zeroes whole channels ([B, C, …]) with probability `rate`: nn.Dropout2d, nn.Dropout3d.
class ChannelDropout : public torch::nn::Module {
 public:
  explicit ChannelDropout(double rate) : rate_(rate) {}
  torch::Tensor forward(const torch::Tensor& x) const {
    return rate_ > 0 && is_training() ? torch::feature_dropout(x, rate_, true) : x;
  }

 private:
  double rate_;
};

/// Zeroes whole samples of a residual branch with probability `rate` (stochastic depth, Huang et al. 2016; timm's
/// DropPath).
class DropPath : public torch::nn::Module {
 public:
  explicit DropPath(double rate) : rate_(rate) {}
  torch::Tensor forward(const torch::Tensor& x) const;

 private:
  double rate_;
};

}  // namespace m3d
