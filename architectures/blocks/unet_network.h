#pragma once
// The U-Net around an encoder: nnU-Net's networks and those of families built on them.
#include "architectures/blocks/slices.h"
#include "architectures/blocks/unet_decoder.h"

namespace m3d {

/// The memory format in which convolutions of x [B, C, (D,) H, W] are fast.
torch::MemoryFormat channels_last(const torch::Tensor& x);

/// An encoder and how it runs: the outputs of its stages, finest first.
struct UnetEncoder {
  std::shared_ptr<torch::nn::Module> module;
  std::function<std::vector<torch::Tensor>(const torch::Tensor&)> forward;
};

template <class Module>
UnetEncoder unet_encoder(std::shared_ptr<Module> module) {
  return {module, [module](const torch::Tensor& x) { return module->forward(x); }};
}

/// A layer between the coarsest stage and the decoder, registered under `name`; without module there is none.
struct UnetBottleneck {
  std::string name;
  UnetPart part;
};

/// Children encoder, the bottleneck, decoder.
class UnetNetwork : public SliceNetwork {
 public:
  UnetNetwork(int dimensions, bool deep_supervision, UnetEncoder encoder, std::shared_ptr<UnetDecoder> decoder,
              UnetBottleneck bottleneck = {});
  std::vector<torch::Tensor> forward_slices(const torch::Tensor& image, bool coarser) override;

 private:
  bool deep_supervision_;
  UnetEncoder encoder_;
  UnetPart bottleneck_;
  std::shared_ptr<UnetDecoder> decoder_;
};

}  // namespace m3d
