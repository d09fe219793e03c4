#include "architectures/blocks/unet_units.h"

#include "architectures/blocks/initialise.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr Triple kOnes{1, 1, 1};

ConvolutionShape unit_convolution(std::int64_t in, std::int64_t out, const Triple& kernel, const Triple& stride,
                                  const UnitStyle& style) {
  ConvolutionShape shape;
  shape.in = in, shape.out = out, shape.kernel = kernel, shape.stride = stride;
  shape.dimensions = style.dimensions, shape.bias = style.bias;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (kernel[axis] % 2 == 0)
      throw UserError("kernel sizes must be odd (a convolution keeps the size of what it gets), got " +
                      std::to_string(kernel[axis]));
    shape.padding[axis] = kernel[axis] / 2;
  }
  return shape;
}

ConvolutionShape gate_convolution(std::int64_t in, std::int64_t out, int dimensions) {
  ConvolutionShape shape;
  shape.in = in, shape.out = out, shape.dimensions = dimensions;
  return shape;
}

/// [B, C, D, H, W] → [B, C, D/d, d, H/h, h, W/w, w], a view; the same of slices.
torch::Tensor tiled(const torch::Tensor& x, torch::IntArrayRef size) {
  torch::Tensor tiles = x;
  for (std::size_t axis = 0; axis < size.size(); ++axis)
    tiles = tiles.unflatten(2 * static_cast<std::int64_t>(axis) + 2, {-1, size[axis]});
  return tiles;
}

/// Average pooling whose gradient is the mean's share at every place of a window, in channels-last memory.
class AveragePooling : public torch::autograd::Function<AveragePooling> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const std::vector<std::int64_t>& size) {
    context->saved_data["size"] = size;
    return size.size() == 3 ? at::avg_pool3d(x, size) : at::avg_pool2d(x, size);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto size = context->saved_data["size"].toIntVector();
    auto share = gradients[0].movedim(1, -1);
    double voxels = 1;
    for (std::size_t axis = 0; axis < size.size(); ++axis) {
      share = share.unsqueeze(2 * static_cast<std::int64_t>(axis) + 2);
      voxels *= static_cast<double>(size[axis]);
    }
    std::vector<std::int64_t> tiles = share.sizes().vec();
    for (std::size_t axis = 0; axis < size.size(); ++axis) tiles[2 * axis + 2] = size[axis];
    share = (share / voxels).expand(tiles);
    for (std::size_t axis = 0; axis < size.size(); ++axis) {
      const auto first = static_cast<std::int64_t>(axis) + 1;
      share = share.flatten(first, first + 1);
    }
    return {share.movedim(-1, 1), torch::Tensor()};
  }
};

}  // namespace

UnitStyle UnitStyle::without_dropout() const {
  UnitStyle style = *this;
  style.dropout = "none";
  return style;
}

UnitStyle UnitStyle::linear() const {
  UnitStyle style = without_dropout();
  style.activation = "none";
  return style;
}

ConvolutionUnit::ConvolutionUnit(std::int64_t in, std::int64_t out, const Triple& kernel, const Triple& stride,
                                 const UnitStyle& style)
    : style_(style) {
  conv_ = register_module("conv", std::make_shared<Convolution>(unit_convolution(in, out, kernel, stride, style)));
  if (style.dropout == "Dropout")
    dropout_ = register_module("dropout", std::make_shared<Dropout>(style.dropout_rate));
  else if (style.dropout != "none")
    channel_dropout_ = register_module("dropout", std::make_shared<ChannelDropout>(style.dropout_rate));
  if (!style.norm) return;
  VolumeNormShape norm = *style.norm;
  norm.channels = out;
  norm_ = register_module("norm", std::make_shared<VolumeNorm>(norm));
}

torch::Tensor ConvolutionUnit::activated(torch::Tensor x) const {
  return activate(std::move(x), style_.activation, style_.negative_slope);
}

torch::Tensor ConvolutionUnit::forward(const torch::Tensor& volume) {
  auto x = conv_->forward(volume);
  if (dropout_) x = dropout_->forward(x);
  if (channel_dropout_) x = channel_dropout_->forward(x);
  if (!norm_) return activated(x);
  return style_.activation_first ? norm_->forward(activated(x)) : activated(norm_->forward(x));
}

ConvolutionUnits::ConvolutionUnits(std::int64_t count, std::int64_t in, std::int64_t out, const Triple& kernel,
                                   const Triple& stride, const UnitStyle& style) {
  const auto list = register_module("convs", std::make_shared<torch::nn::Module>());
  for (std::int64_t i = 0; i < count; ++i)
    units_.push_back(list->register_module(
        std::to_string(i),
        std::make_shared<ConvolutionUnit>(i == 0 ? in : out, out, kernel, i == 0 ? stride : kOnes, style)));
}

torch::Tensor ConvolutionUnits::forward(torch::Tensor x) {
  for (const auto& unit : units_) x = unit->forward(x);
  return x;
}

torch::Tensor pooled(const torch::Tensor& x, const Triple& size, const std::string& kind) {
  const std::vector<std::int64_t> used(size.end() - (x.dim() - 2), size.end());
  if (kind == "avg") return AveragePooling::apply(x, used);
  std::vector<std::int64_t> places{0, 1}, insides;
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) {
    places.push_back(2 * axis - 2);
    insides.push_back(2 * axis - 1);
  }
  places.insert(places.end(), insides.begin(), insides.end());
  return std::get<0>(tiled(x, used).permute(places).flatten(x.dim()).max(-1));
}

SqueezeExcitation::SqueezeExcitation(std::int64_t channels, double reduction, int dimensions) {
  // The nearest multiple of 8, and at least 8.
  const auto reduced =
      std::max<std::int64_t>(8, static_cast<std::int64_t>(static_cast<double>(channels) * reduction + 4) / 8 * 8);
  fc1_ = register_module("fc1", std::make_shared<Convolution>(gate_convolution(channels, reduced, dimensions)));
  fc2_ = register_module("fc2", std::make_shared<Convolution>(gate_convolution(reduced, channels, dimensions)));
}

torch::Tensor SqueezeExcitation::forward(const torch::Tensor& x) {
  const auto means = x.mean({2, 3}, /*keepdim=*/true);
  return x * torch::sigmoid(fc2_->forward(fc1_->forward(means).relu_()));
}

ResidualUnit::ResidualUnit(std::int64_t in, std::int64_t out, const ResidualShape& shape, const Triple& stride,
                           const UnitStyle& style)
    : stride_(stride), style_(style) {
  const auto add = [&](std::int64_t from, std::int64_t to, const Triple& kernel, const Triple& by,
                       const UnitStyle& how) {
    units_.push_back(register_module("conv" + std::to_string(units_.size() + 1),
                                     std::make_shared<ConvolutionUnit>(from, to, kernel, by, how)));
  };
  if (shape.bottleneck == 0) {
    add(in, out, shape.kernel, stride, style);
    add(out, out, shape.kernel, kOnes, style.linear());
  } else {
    add(in, shape.bottleneck, kOnes, kOnes, style.without_dropout());
    add(shape.bottleneck, shape.bottleneck, shape.kernel, stride, style);
    add(shape.bottleneck, out, kOnes, kOnes, style.linear());
  }
  if (shape.stochastic_depth > 0)
    drop_path_ = register_module("drop_path", std::make_shared<DropPath>(shape.stochastic_depth));
  if (shape.squeeze_excitation)
    squeeze_excitation_ = register_module(
        "squeeze_excitation", std::make_shared<SqueezeExcitation>(out, shape.squeeze_reduction, style.dimensions));
  register_skip(in, out, style);
}

/// The projection's place in the skip is 1 where pooling comes before it.
void ResidualUnit::register_skip(std::int64_t in, std::int64_t out, const UnitStyle& style) {
  if (in == out) return;
  UnitStyle plain = style.linear();
  plain.bias = false;
  const auto skip = register_module("skip", std::make_shared<torch::nn::Module>());
  projection_ = skip->register_module(stride_ == kOnes ? "0" : "1",
                                      std::make_shared<ConvolutionUnit>(in, out, kOnes, kOnes, plain));
}

torch::Tensor ResidualUnit::forward(const torch::Tensor& x) {
  auto residual = stride_ == kOnes ? x : pooled(x, stride_, "avg");
  if (projection_) residual = projection_->forward(residual);
  auto out = x;
  for (const auto& unit : units_) out = unit->forward(out);
  if (drop_path_) out = drop_path_->forward(out);
  if (squeeze_excitation_) out = squeeze_excitation_->forward(out);
  return activate(out.add_(residual), style_.activation, style_.negative_slope);
}

ResidualUnits::ResidualUnits(std::int64_t count, std::int64_t in, std::int64_t out, const ResidualShape& shape,
                             const Triple& stride, const UnitStyle& style) {
  const auto list = register_module("blocks", std::make_shared<torch::nn::Module>());
  for (std::int64_t i = 0; i < count; ++i)
    units_.push_back(list->register_module(
        std::to_string(i),
        std::make_shared<ResidualUnit>(i == 0 ? in : out, out, shape, i == 0 ? stride : kOnes, style)));
}

torch::Tensor ResidualUnits::forward(torch::Tensor x) {
  for (const auto& unit : units_) x = unit->forward(x);
  return x;
}

void start_residual_branches_at_zero(torch::nn::Module& network) {
  const torch::NoGradGuard no_grad;
  for_each_layer<ResidualUnit>(network, [](ResidualUnit& block, const std::string&) {
    const auto& norm = block.last_norm();
    if (norm && norm->weight.defined()) norm->weight.zero_(), norm->bias.zero_();
  });
}

}  // namespace m3d
