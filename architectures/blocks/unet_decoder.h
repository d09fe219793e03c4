#pragma once
// nnU-Net's decoder (unet_decoder.py of MIC-DKFZ/dynamic-network-architectures) and those of networks built on it.
#include <functional>

#include "architectures/blocks/unet_units.h"

namespace m3d {

/// What the decoder mirrors: one entry an encoder stage, finest first.
struct UnetStages {
  std::vector<std::int64_t> features;
  std::vector<Triple> kernels, strides;
  std::size_t count() const { return features.size(); }
};

/// A module and how it runs.
struct UnetPart {
  std::shared_ptr<torch::nn::Module> module;
  std::function<torch::Tensor(const torch::Tensor&)> forward;
};

template <class Module>
UnetPart unet_part(std::shared_ptr<Module> module) {
  return {module, [module](const torch::Tensor& x) { return module->forward(x); }};
}

/// What differs between families. `stage` mixes the up-sampled volume and the skip of a decoder level (0: the
/// coarsest); `up` enlarges by `factor` and is registered under `up_name`.
struct UnetDecoderParts {
  std::function<UnetPart(std::size_t level, std::int64_t in, std::int64_t out, const Triple& kernel)> stage;
  std::function<UnetPart(std::int64_t in, std::int64_t out, const Triple& factor)> up;
  std::string up_name = "transpconvs";
  bool finest_skip = true;  // else the finest level goes on from below alone
};

/// Transposed convolution, kernel = stride = `factor`.
UnetPart transposed_up(std::int64_t in, std::int64_t out, const Triple& factor, const UnitStyle& style);

/// From the bottleneck upwards: enlarged by the stride of the stage below, the skip beside it, a stage, a 1x1x1 head.
/// Children stages, transpconvs (or as the parts name it), seg_layers, each from the coarsest level on.
class UnetDecoder : public torch::nn::Module {
 public:
  UnetDecoder(const UnetStages& stages, std::int64_t classes, int dimensions, const UnetDecoderParts& parts);
  /// nnU-Net's own: `units[i]` convolution units at decoder level i, one level fewer than stages; transposed
  /// convolutions.
  UnetDecoder(const UnetStages& stages, std::int64_t classes, const std::vector<std::int64_t>& units,
              const UnitStyle& style);
  /// `skips`: the stages' outputs, finest first. Returns logits [B, K, …], finest first; only the finest unless
  /// `coarser`.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& skips, bool coarser);

 private:
  std::vector<UnetPart> stages_, ups_;
  std::vector<std::shared_ptr<Convolution>> heads_;
  bool finest_skip_;
};

}  // namespace m3d
