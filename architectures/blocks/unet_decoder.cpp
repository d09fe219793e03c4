#include "architectures/blocks/unet_decoder.h"

namespace m3d {

UnetDecoder::UnetDecoder(const UnetStages& stages, std::int64_t classes, const std::vector<std::int64_t>& units,
                         const UnitStyle& style) {
  const auto list = [this](const char* name) { return register_module(name, std::make_shared<torch::nn::Module>()); };
  const auto blocks = list("stages"), transposed = list("transpconvs"), heads = list("seg_layers");
  for (std::size_t level = 0; level + 1 < stages.count(); ++level) {
    const std::size_t below = stages.count() - 1 - level, skip = below - 1;
    const std::int64_t width = stages.features[skip];
    const std::string name = std::to_string(level);
    stages_.push_back(blocks->register_module(
        name, std::make_shared<ConvolutionUnits>(units[level], 2 * width, width, stages.kernels[skip], Triple{1, 1, 1},
                                                 style)));
    ConvolutionShape up;
    up.in = stages.features[below], up.out = width, up.dimensions = style.dimensions;
    up.kernel = up.stride = stages.strides[below];
    up.transposed = true, up.bias = style.bias;
    transposed_.push_back(transposed->register_module(name, std::make_shared<Convolution>(up)));
    ConvolutionShape head;
    head.in = width, head.out = classes, head.dimensions = style.dimensions;
    heads_.push_back(heads->register_module(name, std::make_shared<Convolution>(head)));
  }
}

std::vector<torch::Tensor> UnetDecoder::forward(const std::vector<torch::Tensor>& skips, bool coarser) {
  std::vector<torch::Tensor> logits;
  auto x = skips.back();
  for (std::size_t level = 0; level < stages_.size(); ++level) {
    const auto& skip = skips[skips.size() - 2 - level];
    x = stages_[level]->forward(torch::cat({transposed_[level]->forward(x), skip}, 1));
    if (coarser || level + 1 == stages_.size()) logits.insert(logits.begin(), heads_[level]->forward(x));
  }
  return logits;
}

}  // namespace m3d
