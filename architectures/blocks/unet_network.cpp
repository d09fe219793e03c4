#include "architectures/blocks/unet_network.h"

namespace m3d {

torch::MemoryFormat channels_last(const torch::Tensor& x) {
  return x.dim() == 5 ? torch::MemoryFormat::ChannelsLast3d : torch::MemoryFormat::ChannelsLast;
}

UnetNetwork::UnetNetwork(int dimensions, bool deep_supervision, UnetEncoder encoder,
                         std::shared_ptr<UnetDecoder> decoder, UnetBottleneck bottleneck)
    : SliceNetwork(dimensions),
      deep_supervision_(deep_supervision),
      encoder_(std::move(encoder)),
      bottleneck_(std::move(bottleneck.part)),
      decoder_(std::move(decoder)) {
  register_module("encoder", encoder_.module);
  if (bottleneck_.module) register_module(bottleneck.name, bottleneck_.module);
  register_module("decoder", decoder_);
}

std::vector<torch::Tensor> UnetNetwork::forward_slices(const torch::Tensor& image, bool coarser) {
  auto skips = encoder_.forward(image.contiguous(channels_last(image)));
  if (bottleneck_.module) skips.back() = bottleneck_.forward(skips.back());
  return decoder_->forward(skips, coarser && deep_supervision_);
}

}  // namespace m3d
