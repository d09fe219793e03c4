#pragma once
// The Mamba layers of Taming Mambas (Lumetti et al.; nnunetv2/nets/{SegMamba,SegMambaSkip,PanSegMamba,MultiSegMamba}.py
// of LucaLumetti/TamingMambas). Everything but Mamba itself looks at single tokens, so that only Mamba's tokens are put
// into a scan order and back; all other tokens are [B, D*H*W, C] in (D, H, W) order.
#include "architectures/blocks/token_mixer.h"

namespace m3d {

struct MambaTransShape {
  std::int64_t channels = 0, d_state = 16, d_conv = 4;
  bool checkpointed = false;
  double expand = 2;
  bool mixer = true;
};

/// x + mamba(norm1(x)), then x + head(norm2(x)); Mamba reads the tokens in `order`. Without mixer the first step is
/// gone.
class MambaTrans : public torch::nn::Module {
 public:
  MambaTrans(const MambaTransShape& shape, ScanOrder order);
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid);

 private:
  ScanOrder order_;
  std::shared_ptr<TokenMixer> mamba_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Linear> head_;
};

/// norm(fwd_mamba(x) + bwd_mamba(x)), the latter along the reversed order.
class TwoWayMamba : public torch::nn::Module {
 public:
  TwoWayMamba(const MambaTransShape& shape, const ScanOrder& order);
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid);

 private:
  std::shared_ptr<MambaTrans> fwd_mamba_, bwd_mamba_;
  std::shared_ptr<LayerNorm> norm_;
};

/// A layer's tokens: one way or two ways in (D, H, W) order after a norm, or the mean of two ways along four orders.
enum class MambaDirections { one, two, four_orders };

/// In the volume's place, without residual. Children norm and mamba, or mambas.0 to mambas.3.
class TamingLayer : public torch::nn::Module {
 public:
  /// `paper_order`: the fourth order is the paper's (W, H, D), else the released (W, D, H).
  TamingLayer(const MambaTransShape& shape, MambaDirections directions, bool paper_order = false);
  /// [B, C, …] → the same shape.
  torch::Tensor forward(const torch::Tensor& volume);

 private:
  torch::Tensor mixed(const torch::Tensor& tokens, const Grid& grid);
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<MambaTrans> one_way_;
  std::vector<std::shared_ptr<TwoWayMamba>> two_ways_;
};

/// The orders of a layer's scans.
std::vector<ScanOrder> taming_orders(MambaDirections directions, bool paper_order);

}  // namespace m3d
