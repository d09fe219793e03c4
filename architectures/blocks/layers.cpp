#include "architectures/blocks/layers.h"

#include <ATen/record_function.h>

#include <cmath>

#include "architectures/blocks/rms_norm.h"
#include "common/error.h"
#include "common/hash.h"

namespace m3d {
namespace {

thread_local int meta_depth = 0;

/// Standardises each output channel's weights (Qiao et al. 2019, as in Conv3d_wd).
torch::Tensor standardised(const torch::Tensor& weight, bool unbiased, double eps) {
  const auto filters = weight.flatten(1);
  const auto [variance, mean] = torch::var_mean(filters, {1}, unbiased, true);
  return ((filters - mean) / torch::sqrt(variance + eps)).view_as(weight);
}

double normal_cdf(double x) { return 0.5 * (1.0 + std::erf(x / std::sqrt(2.0))); }

}  // namespace

Grid grid_of(const torch::Tensor& volume) {
  return {volume.dim() == 5 ? volume.size(2) : 1, volume.size(-2), volume.size(-1)};
}

torch::Tensor tokens_of(const torch::Tensor& volume) {
  return volume.movedim(1, -1).reshape({volume.size(0), -1, volume.size(1)});
}

torch::Tensor volume_of(const torch::Tensor& tokens, const Grid& grid) {
  return tokens.reshape({tokens.size(0), grid[0], grid[1], grid[2], tokens.size(2)}).permute({0, 4, 1, 2, 3});
}

MetaParameters::MetaParameters() { ++meta_depth; }
MetaParameters::~MetaParameters() { --meta_depth; }

torch::Tensor new_parameter(torch::IntArrayRef shape) {
  return torch::empty(shape,
                      torch::TensorOptions().dtype(torch::kFloat32).device(meta_depth ? torch::kMeta : torch::kCPU));
}

void ParameterRandom::uniform(torch::Tensor& tensor, const std::string& name, double low, double high) const {
  if (tensor.is_meta()) return;
  const torch::NoGradGuard no_grad;
  tensor.uniform_(low, high, torch::make_generator<at::CPUGeneratorImpl>(splitmix64(seed_ ^ fnv1a64(name))));
}

void ParameterRandom::normal(torch::Tensor& tensor, const std::string& name, double std) const {
  if (tensor.is_meta()) return;
  const torch::NoGradGuard no_grad;
  uniform(tensor, name, -1.0, 1.0);
  constexpr double open = 1.0 - 1e-7;  // the inverse error function is infinite at the interval's ends
  tensor.clamp_(-open, open).erfinv_().mul_(std * std::sqrt(2.0));
}

void ParameterRandom::truncated_normal(torch::Tensor& tensor, const std::string& name, double std) const {
  if (tensor.is_meta()) return;
  const torch::NoGradGuard no_grad;
  const double reach = 2.0 * normal_cdf(2.0 / std) - 1.0;
  uniform(tensor, name, -reach, reach);
  tensor.erfinv_().mul_(std * std::sqrt(2.0)).clamp_(-2.0, 2.0);
}

Linear::Linear(std::int64_t in, std::int64_t out, bool with_bias) {
  weight = register_parameter("weight", new_parameter({out, in}));
  if (with_bias) bias = register_parameter("bias", new_parameter({out}));
}

ConvolutionShape cubic_convolution(std::int64_t in, std::int64_t out, std::int64_t k, std::int64_t s, bool bias) {
  ConvolutionShape shape;
  shape.in = in, shape.out = out, shape.bias = bias;
  shape.kernel.fill(k), shape.stride.fill(s), shape.padding.fill(k / 2);
  return shape;
}

ConvolutionShape square_convolution(std::int64_t in, std::int64_t out, std::int64_t k, std::int64_t s, bool bias) {
  auto shape = cubic_convolution(in, out, k, s, bias);
  shape.dimensions = 2;
  return shape;
}

Convolution::Convolution(const ConvolutionShape& given) : shape(given) {
  const std::int64_t first = given.transposed ? given.in : given.out;
  const std::int64_t second = (given.transposed ? given.out : given.in) / given.groups;
  std::vector<std::int64_t> sizes{first, second};
  sizes.insert(sizes.end(), given.kernel.end() - given.dimensions, given.kernel.end());
  weight = register_parameter("weight", new_parameter(sizes));
  if (given.bias) bias = register_parameter("bias", new_parameter({given.out}));
}

torch::Tensor Convolution::forward(const torch::Tensor& volume) const {
  const auto axes = [this](const std::array<std::int64_t, 3>& triple) {
    return torch::IntArrayRef(triple).slice(static_cast<std::size_t>(3 - shape.dimensions));
  };
  const auto used = shape.weight_standardisation
                        ? standardised(weight, shape.unbiased_standardisation, shape.standardisation_eps)
                        : weight;
  static constexpr std::array<std::int64_t, 3> dilation{1, 1, 1};
  // Autocast knows this operator on GPUs only: on the CPU it computes in the weights' type.
  const auto input = volume.is_cpu() ? volume.to(used.scalar_type()) : volume;
  return torch::convolution(input, used, bias, axes(shape.stride), axes(shape.padding), axes(dilation),
                            shape.transposed, axes(shape.output_padding), shape.groups);
}

LayerNorm::LayerNorm(std::int64_t channels, double eps) : eps_(eps) {
  weight = register_parameter("weight", new_parameter({channels}));
  bias = register_parameter("bias", new_parameter({channels}));
}

torch::Tensor LayerNorm::forward(const torch::Tensor& x) const {
  return torch::layer_norm(x, weight.sizes(), weight, bias, eps_);
}

RmsNorm::RmsNorm(std::int64_t channels, double eps) : eps_(eps) {
  weight = register_parameter("weight", new_parameter({channels}));
}

torch::Tensor RmsNorm::forward(const torch::Tensor& x) const {
  RECORD_FUNCTION("m3d::rms_norm", std::vector<c10::IValue>({x}));
  return rms_norm(x, weight, eps_);
}

VolumeNorm::VolumeNorm(const std::string& kind, std::int64_t channels) : VolumeNorm(VolumeNormShape{kind, channels}) {}

VolumeNorm::VolumeNorm(const VolumeNormShape& given) : shape(given) {
  const auto& [kind, channels, eps, affine, groups, momentum, running] = shape;
  const bool batch = kind == "BN" || kind == "SyncBN";
  if (!batch && kind != "IN" && kind != "GN" && kind != "LN" && kind != "none")
    throw UserError("unknown normalisation '" + kind + "' (known: IN, GN, BN, SyncBN, LN, none)");
  if (kind == "GN" && channels % groups != 0)
    throw UserError("normalisation GN has " + std::to_string(groups) + " groups and needs a multiple of " +
                    std::to_string(groups) + " channels, got " + std::to_string(channels));
  if (affine && kind != "none") {
    weight = register_parameter("weight", new_parameter({channels}));
    bias = register_parameter("bias", new_parameter({channels}));
  }
  if (!running.value_or(batch)) return;
  running_mean_ = register_buffer("running_mean", new_parameter({channels}).zero_());
  running_var_ = register_buffer("running_var", new_parameter({channels}).fill_(1));
  batches_ = register_buffer("num_batches_tracked",
                             torch::zeros({}, torch::dtype(torch::kLong).device(running_mean_.device())));
}

torch::Tensor VolumeNorm::by_batch(const torch::Tensor& volume) {
  const bool own = is_training() || !running_mean_.defined();
  if (is_training() && batches_.defined()) batches_.add_(1);
  return torch::batch_norm(volume, weight, bias, running_mean_, running_var_, own, shape.momentum, shape.eps, false);
}

torch::Tensor VolumeNorm::forward(const torch::Tensor& volume) {
  const auto& [kind, channels, eps, affine, groups, momentum, running] = shape;
  if (kind == "none") return volume;
  if (kind == "LN") {
    if (volume.size(-1) != weight.size(0))
      throw UserError("normalisation LN works along the last axis, which has " + std::to_string(volume.size(-1)) +
                      " voxels and would need as many as there are channels, " + std::to_string(weight.size(0)));
    return torch::layer_norm(volume, weight.sizes(), weight, bias, 1e-6);
  }
  if (kind == "GN") return torch::group_norm(volume, groups, weight, bias, eps);
  if (kind != "IN") return by_batch(volume);
  // Instance normalisation is group normalisation with a group a channel, which LibTorch computes in channels-last
  // memory for any batch size; its instance_norm would first copy to channels-first.
  if (!running_mean_.defined()) return torch::group_norm(volume, channels, weight, bias, eps);
  if (!is_training()) return by_batch(volume);
  return torch::instance_norm(volume, weight, bias, running_mean_, running_var_, true, momentum, eps, false);
}

torch::Tensor activate(torch::Tensor x, const std::string& kind, double negative_slope) {
  if (kind == "ReLU") return torch::relu_(x);
  if (kind == "LeakyReLU") return torch::leaky_relu_(x, negative_slope);
  if (kind == "SiLU") return torch::silu_(x);
  if (kind == "ELU") return torch::elu_(x);
  if (kind == "Hardswish") return torch::hardswish_(x);
  if (kind == "GELU") return torch::gelu(x);
  if (kind == "none") return x;
  throw UserError("unknown activation '" + kind + "' (known: LeakyReLU, ReLU, SiLU, ELU, Hardswish, GELU, none)");
}

ConvolutionShape styled(ConvolutionShape shape, const ConvolutionStyle& style) {
  shape.bias = false;
  shape.weight_standardisation = style.weight_standardisation;
  shape.unbiased_standardisation = style.unbiased_standardisation;
  if (style.unbiased_standardisation) shape.standardisation_eps = 1e-12;
  return shape;
}

ConvolutionBlock::ConvolutionBlock(ConvolutionShape shape, const ConvolutionStyle& style)
    : activation_(style.activation) {
  shape = styled(shape, style);
  conv_ = register_module("conv", std::make_shared<Convolution>(shape));
  norm_ = register_module("norm", std::make_shared<VolumeNorm>(style.norm, shape.out));
}

torch::Tensor ConvolutionBlock::forward(const torch::Tensor& volume) {
  return activate(norm_->forward(conv_->forward(volume)), activation_);
}

PatchEmbedding::PatchEmbedding(const ConvolutionShape& shape, const ConvolutionStyle& style,
                               std::int64_t second_groups) {
  proj_ = register_module("proj", std::make_shared<ConvolutionBlock>(shape, style));
  if (second_groups == 0) return;
  ConvolutionShape second = shape;
  second.in = shape.out, second.groups = second_groups, second.stride.fill(1);
  proj1_ = register_module("proj1", std::make_shared<ConvolutionBlock>(second, style));
}

torch::Tensor PatchEmbedding::forward(const torch::Tensor& volume) {
  const auto embedded = proj_->forward(volume);
  return proj1_ ? proj1_->forward(embedded) : embedded;
}

}  // namespace m3d
