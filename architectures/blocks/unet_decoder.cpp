#include "architectures/blocks/unet_decoder.h"

namespace m3d {
namespace {

UnetDecoderParts convolution_parts(const std::vector<std::int64_t>& units, const UnitStyle& style) {
  UnetDecoderParts parts;
  parts.stage = [units, style](std::size_t level, std::int64_t in, std::int64_t out, const Triple& kernel) {
    return unet_part(std::make_shared<ConvolutionUnits>(units[level], in, out, kernel, Triple{1, 1, 1}, style));
  };
  parts.up = [style](std::int64_t in, std::int64_t out, const Triple& factor) {
    return transposed_up(in, out, factor, style);
  };
  return parts;
}

}  // namespace

UnetPart transposed_up(std::int64_t in, std::int64_t out, const Triple& factor, const UnitStyle& style) {
  ConvolutionShape up;
  up.in = in, up.out = out, up.dimensions = style.dimensions;
  up.kernel = up.stride = factor;
  up.transposed = true, up.bias = style.bias;
  return unet_part(std::make_shared<Convolution>(up));
}

UnetDecoder::UnetDecoder(const UnetStages& stages, std::int64_t classes, int dimensions, const UnetDecoderParts& parts)
    : finest_skip_(parts.finest_skip) {
  const auto list = [this](const auto& name) { return register_module(name, std::make_shared<torch::nn::Module>()); };
  const auto blocks = list("stages"), ups = list(parts.up_name), heads = list("seg_layers");
  for (std::size_t level = 0; level + 1 < stages.count(); ++level) {
    const std::size_t below = stages.count() - 1 - level, skip = below - 1;
    const std::int64_t width = stages.features[skip];
    const std::string name = std::to_string(level);
    const std::int64_t volumes = skip > 0 || finest_skip_ ? 2 : 1;
    stages_.push_back(parts.stage(level, volumes * width, width, stages.kernels[skip]));
    blocks->register_module(name, stages_.back().module);
    ups_.push_back(parts.up(stages.features[below], width, stages.strides[below]));
    ups->register_module(name, ups_.back().module);
    ConvolutionShape head;
    head.in = width, head.out = classes, head.dimensions = dimensions;
    heads_.push_back(heads->register_module(name, std::make_shared<Convolution>(head)));
  }
}

UnetDecoder::UnetDecoder(const UnetStages& stages, std::int64_t classes, const std::vector<std::int64_t>& units,
                         const UnitStyle& style)
    : UnetDecoder(stages, classes, style.dimensions, convolution_parts(units, style)) {}

std::vector<torch::Tensor> UnetDecoder::forward(const std::vector<torch::Tensor>& skips, bool coarser) {
  std::vector<torch::Tensor> logits;
  auto x = skips.back();
  for (std::size_t level = 0; level < stages_.size(); ++level) {
    const bool finest = level + 1 == stages_.size();
    x = ups_[level].forward(x);
    if (!finest || finest_skip_) x = torch::cat({x, skips[skips.size() - 2 - level]}, 1);
    x = stages_[level].forward(x);
    if (coarser || finest) logits.insert(logits.begin(), heads_[level]->forward(x));
  }
  return logits;
}

}  // namespace m3d
