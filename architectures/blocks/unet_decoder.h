#pragma once
// nnU-Net's decoder (unet_decoder.py of MIC-DKFZ/dynamic-network-architectures).
#include "architectures/blocks/unet_units.h"

namespace m3d {

/// What the decoder mirrors: one entry an encoder stage, finest first.
struct UnetStages {
  std::vector<std::int64_t> features;
  std::vector<Triple> kernels, strides;
  std::size_t count() const { return features.size(); }
};

/// From the bottleneck upwards: transposed convolution (kernel = stride = the stride of the stage below), the skip
/// beside it, convolution units, a 1x1x1 head. Children stages, transpconvs, seg_layers, each from the coarsest level
/// on.
class UnetDecoder : public torch::nn::Module {
 public:
  /// `units[i]` convolution units at decoder level i, coarsest first: one level fewer than stages.
  UnetDecoder(const UnetStages& stages, std::int64_t classes, const std::vector<std::int64_t>& units,
              const UnitStyle& style);
  /// `skips`: the stages' outputs, finest first. Returns logits [B, K, …], finest first; only the finest unless
  /// `coarser`.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& skips, bool coarser);

 private:
  std::vector<std::shared_ptr<ConvolutionUnits>> stages_;
  std::vector<std::shared_ptr<Convolution>> transposed_, heads_;
};

}  // namespace m3d
