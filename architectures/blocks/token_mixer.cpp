#include "architectures/blocks/token_mixer.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "architectures/blocks/checkpoint.h"
#include "architectures/blocks/gated_sum.h"
#include "architectures/blocks/token_product.h"
#include "common/error.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "kernels/selective_scan/selective_scan.h"

namespace m3d {
namespace {

std::optional<torch::Tensor> optional(const torch::Tensor& tensor) {
  return tensor.defined() ? std::optional<torch::Tensor>(tensor) : std::nullopt;
}

ScanBranch plain_branch(std::string suffix, const std::string& order) { return {std::move(suffix), scan_order(order)}; }

std::vector<ScanBranch> depth_and_plane_branches(bool corrected) {
  ScanBranch planes = plain_branch("", "dhw");
  planes.sequence_axes = 2;
  planes.kernel_axes = {false, true, true};
  ScanBranch lines = plain_branch("_b", "hwd");
  lines.sequence_axes = 1;
  lines.kernel_axes = {false, false, true};
  lines.restore = corrected;
  return {planes, lines};
}

/// [B, L, C] as [B, D, H, W, C].
torch::Tensor on_grid(const torch::Tensor& tokens, const Grid& grid) {
  return tokens.reshape({tokens.size(0), grid[0], grid[1], grid[2], tokens.size(2)});
}

/// "conv1d", "conv2d" or "conv3d", as the originals name the convolution by its kernel's axes.
std::string convolution_name(const TokenMixerShape& shape, const ScanBranch& branch) {
  const auto& axes = branch.kernel_axes;
  const int dimensions = shape.convolution_3d ? axes[0] + axes[1] + axes[2] : 1;
  return "conv" + std::to_string(dimensions) + "d" + branch.suffix;
}

/// A kernel along the axes of the order's grid, turned so that it does the same to tokens that are not permuted.
torch::Tensor turned_kernel(const torch::Tensor& kernel, const ScanOrder& order) {
  std::vector<std::int64_t> places{0, 1, 2, 3, 4};
  for (int axis = 0; axis < 3; ++axis) places[2 + order.axes[axis]] = 2 + axis;
  const auto turned = kernel.permute(places);
  const bool values = !kernel.is_meta();  // LibTorch cannot flip tensors without
  return order.reversed && values ? turned.flip({2, 3, 4}) : turned;
}

}  // namespace

std::vector<ScanBranch> scan_branches(const std::string& scan, bool dwh_corrected) {
  if (scan == "single") return {plain_branch("", "dhw")};
  // Flipping the axes one by one ("dual") and flipping the sequence ("dual_channel") are the same permutation.
  if (scan == "dual" || scan == "dual_channel") return {plain_branch("", "dhw"), plain_branch("_b", "reversed")};
  if (scan == "dual_dwh") return depth_and_plane_branches(dwh_corrected);
  if (scan == "tri") return {plain_branch("", "dhw"), plain_branch("_b", "dwh"), plain_branch("_c", "hwd")};
  if (scan == "dual_random") {
    ScanBranch shuffled = plain_branch("_b", "random");
    shuffled.convolve_first = true;
    return {plain_branch("", "dhw"), shuffled};
  }
  throw std::logic_error("no scan named " + scan);
}

TokenConvolution::TokenConvolution(std::int64_t channels, std::int64_t kernel, bool causal,
                                   const std::array<bool, 3>& axes, bool with_bias)
    : causal_(causal) {
  std::vector<std::int64_t> sizes{channels, 1};
  for (int axis = 0; axis < 3; ++axis) {
    kernel_[axis] = axes[axis] ? kernel : 1;
    if (axes[axis] && !causal) sizes.push_back(kernel);
  }
  if (causal) sizes.push_back(kernel);
  weight = register_parameter("weight", new_parameter(sizes));
  if (with_bias) bias = register_parameter("bias", new_parameter({channels}));
}

torch::Tensor TokenConvolution::forward(const torch::Tensor& tokens, const Grid& grid, std::int64_t sequence, bool silu,
                                        const ScanOrder& order) const {
  const std::int64_t channels = tokens.size(2);
  if (causal_)
    return causal_conv1d(tokens.reshape({-1, sequence, channels}), weight.squeeze(1), optional(bias), silu)
        .reshape(tokens.sizes());
  return depthwise_conv3d(on_grid(tokens, grid), kernel(order), optional(bias), silu).reshape(tokens.sizes());
}

torch::Tensor TokenConvolution::kernel(const ScanOrder& order) const {
  return turned_kernel(weight.reshape({weight.size(0), 1, kernel_[0], kernel_[1], kernel_[2]}), order);
}

TokenMixerShape plain_mamba(std::int64_t d_model, std::int64_t d_state, std::int64_t d_conv, double expand,
                            std::int64_t dt_rank) {
  TokenMixerShape shape;
  shape.d_model = d_model, shape.d_state = d_state;
  shape.d_inner = static_cast<std::int64_t>(expand * static_cast<double>(d_model));
  shape.dt_rank = dt_rank ? dt_rank : (d_model + 15) / 16;
  shape.convolution_3d = false, shape.kernels = {d_conv};
  shape.branches = scan_branches("single", false);
  return shape;
}

TokenMixer::TokenMixer(const TokenMixerShape& shape) : shape_(shape) {
  for (const auto kernel : shape.kernels)
    if (kernel < 1 || (shape.convolution_3d && kernel % 2 == 0))
      throw UserError(
          "mixer: a 3D depthwise convolution keeps the number of tokens only with an odd kernel, got d_conv " +
          std::to_string(kernel));
  branches_.resize(shape.branches.size());
  for (std::size_t i = 0; i < branches_.size(); ++i) {
    const ScanBranch& branch = shape.branches[i];
    const std::string A_log = branch.A_log.empty() ? "A_log" + branch.suffix : branch.A_log;
    branches_[i].A_log = register_parameter(A_log, new_parameter({shape.d_inner, shape.d_state}));
    branches_[i].D = register_parameter("D" + branch.suffix, new_parameter({shape.d_inner}));
    const bool changing = branch.order.random && shape.random == RandomOrder::per_call;
    if (changing && shape.checkpointed)
      throw UserError(
          std::string("options: ") + kCheckpointMixers +
          " computes a layer again, which random_order per_call would make another one; choose random_order "
          "fixed");
    if (changing && !calls_.defined()) calls_ = register_buffer("order_calls", torch::zeros({}, torch::kLong));
  }
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(shape.d_model, 2 * shape.d_inner, shape.bias));
  for (std::size_t i = 0; i < branches_.size(); ++i) register_branch(i);
  const std::int64_t wide = shape.fusion == ScaleFusion::sequence ? static_cast<std::int64_t>(shape.kernels.size()) : 1;
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(wide * shape.d_inner, shape.d_model, shape.bias));
  if (!shape.inner_layernorms) return;
  dt_layernorm_ = register_module("dt_layernorm", std::make_shared<RmsNorm>(shape.dt_rank, shape.rms_norm_eps));
  B_layernorm_ = register_module("B_layernorm", std::make_shared<RmsNorm>(shape.d_state, shape.rms_norm_eps));
  C_layernorm_ = register_module("C_layernorm", std::make_shared<RmsNorm>(shape.d_state, shape.rms_norm_eps));
}

void TokenMixer::register_branch(std::size_t index) {
  const ScanBranch& spec = shape_.branches[index];
  Branch& branch = branches_[index];
  const std::string name = convolution_name(shape_, spec);
  const bool several = shape_.kernels.size() > 1;
  for (std::size_t scale = 0; scale < shape_.kernels.size(); ++scale) {
    const std::int64_t kernel = spec.kernel ? spec.kernel : shape_.kernels[scale];
    branch.convolutions.push_back(
        register_module(several ? name + "_s" + std::to_string(scale) : name,
                        std::make_shared<TokenConvolution>(shape_.d_inner, kernel, !shape_.convolution_3d,
                                                           spec.kernel_axes, shape_.conv_bias)));
  }
  branch.x_proj = register_module("x_proj" + spec.suffix,
                                  std::make_shared<Linear>(shape_.d_inner, shape_.dt_rank + 2 * shape_.d_state, false));
  branch.dt_proj =
      register_module("dt_proj" + spec.suffix, std::make_shared<Linear>(shape_.dt_rank, shape_.d_inner, true));
}

torch::Tensor TokenMixer::forward(const torch::Tensor& tokens, const Grid& grid) {
  if (!shape_.checkpointed) return mix(tokens, grid);
  return checkpointed([this, grid](const torch::Tensor& input) { return mix(input, grid); }, tokens);
}

/// in_proj's halves, the tokens to scan and the gate's argument. Two products instead of one that is split: each half
/// is contiguous, and the scan need not copy it.
std::pair<torch::Tensor, torch::Tensor> TokenMixer::projected(const torch::Tensor& tokens) const {
  const std::int64_t inner = shape_.d_inner;
  const torch::Tensor &weight = in_proj_->weight, &bias = in_proj_->bias;
  if (!bias.defined()) {
    const auto halves = token_products(tokens, weight, {inner, inner});
    return {halves[0], halves[1]};
  }
  const auto half = [&](std::int64_t start) {
    return torch::linear(tokens, weight.narrow(0, start, inner), bias.narrow(0, start, inner));
  };
  return {half(0), half(inner)};
}

torch::Tensor TokenMixer::merged_product(const torch::Tensor& merged) const {
  return out_proj_->bias.defined() ? out_proj_->forward(merged) : token_product(merged, out_proj_->weight);
}

torch::Tensor TokenMixer::mix(const torch::Tensor& tokens, const Grid& grid) {
  const auto [x, z] = projected(tokens);
  const double share = shape_.mean_merge ? 1.0 / static_cast<double>(branches_.size()) : 1.0;
  if (gates_together()) {
    std::vector<torch::Tensor> scans;
    for (std::size_t i = 0; i < branches_.size(); ++i) scans.push_back(run_branch(i, x, torch::Tensor(), grid));
    return merged_product(gated_sum(scans, z, share));
  }
  torch::Tensor merged;
  for (std::size_t i = 0; i < branches_.size(); ++i) {
    const auto y = run_branch(i, x, z, grid);
    merged = merged.defined() ? merged + y : y;
  }
  if (share != 1) merged = merged * share;
  return merged_product(merged);
}

/// Whether all branches' scans end with each token in its own place, so that one gate serves them all. A single scan of
/// a single scale gates itself at no cost.
bool TokenMixer::gates_together() const {
  const bool several = branches_.size() > 1 || (shape_.kernels.size() > 1 && shape_.fusion == ScaleFusion::sequence);
  return several && std::all_of(shape_.branches.begin(), shape_.branches.end(), [this](const ScanBranch& spec) {
           return spec.sequence_axes == 3 && (spec.order.is_identity() || scans_in_place(spec));
         });
}

/// Whether the scan can visit the tokens in the branch's order where they are: it runs over the whole grid, its output
/// goes back to each token's place, and the convolution can be turned to the grid.
bool TokenMixer::scans_in_place(const ScanBranch& spec) const {
  return spec.sequence_axes == 3 && spec.restore &&
         (spec.convolve_first || (shape_.convolution_3d && spec.order.is_turn()));
}

/// The scales' convolved tokens in the branch's order (in place if `order` is null): [B, L, C] each, summed or stacked
/// to [B, scales, L, C].
torch::Tensor TokenMixer::convolve(std::size_t index, const torch::Tensor& x, const Grid& grid,
                                   const TokenPermutation* order) {
  const ScanBranch& spec = shape_.branches[index];
  const bool sum = shape_.fusion == ScaleFusion::before_scan && shape_.kernels.size() > 1;
  const bool permuted = order && !spec.convolve_first;
  const Grid used = permuted ? spec.order.permuted(grid) : grid;
  std::int64_t sequence = 1;
  for (int axis = 3 - spec.sequence_axes; axis < 3; ++axis) sequence *= used[axis];
  const auto source = permuted ? gather_tokens(x, *order) : x;
  const ScanOrder& turned = order || spec.convolve_first ? scan_order("dhw") : spec.order;
  auto scales = convolve_scales(branches_[index], source, used, sequence, !sum, turned);
  if (sum) scales = torch::silu(scales.sum(1, /*keepdim=*/true));
  const std::int64_t count = scales.size(1);
  if (order && spec.convolve_first) scales = gather_tokens(scales.flatten(0, 1), *order).reshape(scales.sizes());
  if (count == 1 || sequence == x.size(1)) return scales.reshape({-1, count * sequence, shape_.d_inner});
  return scales.unflatten(2, {-1, sequence}).transpose(1, 2).reshape({-1, count * sequence, shape_.d_inner});
}

/// All scales of x [B, L, C]: [B, scales, L, C].
torch::Tensor TokenMixer::convolve_scales(const Branch& branch, const torch::Tensor& x, const Grid& grid,
                                          std::int64_t sequence, bool silu, const ScanOrder& turned) {
  if (branch.convolutions.size() == 1 || branch.convolutions[0]->causal()) {
    std::vector<torch::Tensor> scales;
    for (const auto& convolution : branch.convolutions)
      scales.push_back(convolution->forward(x, grid, sequence, silu, turned));
    return scales.size() == 1 ? scales[0].unsqueeze(1) : torch::stack(scales, 1);
  }
  std::vector<torch::Tensor> kernels;
  std::vector<std::optional<torch::Tensor>> biases;
  for (const auto& convolution : branch.convolutions) {
    kernels.push_back(convolution->kernel(turned));
    biases.push_back(optional(convolution->bias));
  }
  return depthwise_conv3d_multiscale(on_grid(x, grid), kernels, biases, silu).flatten(2, 4);
}

/// Gated by z, scales as channels: [B, L, scales C]. Without z not gated, scales in a row: [B, scales L, C].
torch::Tensor TokenMixer::run_branch(std::size_t index, const torch::Tensor& x, const torch::Tensor& z,
                                     const Grid& grid) {
  const ScanBranch& spec = shape_.branches[index];
  std::shared_ptr<const TokenPermutation> order;
  if (!spec.order.is_identity()) {
    const bool counted = spec.order.random && calls_.defined() && !calls_.is_meta();
    const auto call = counted ? static_cast<std::uint64_t>(calls_.item<std::int64_t>()) : 0;
    if (counted) calls_.add_(1);
    order = token_permutation(spec.order, grid, shape_.random, shape_.seed, call);
  }
  const bool in_place = scans_in_place(spec);
  const TokenPermutation* gathered = in_place ? nullptr : order.get();
  const auto u = convolve(index, x, grid, gathered);
  const std::int64_t scales = u.numel() / x.numel(), sequence = u.size(1) / scales;
  const auto table = in_place && order ? optional(scan_table(*order, scales).to(u.device())) : std::nullopt;
  const Branch& parameters = branches_[shape_.shared_parameters ? 0 : index];
  if (!z.defined()) return scan(parameters, u, torch::Tensor(), table);
  auto gate = (gathered ? gather_tokens(z, *gathered) : z).reshape({-1, sequence, shape_.d_inner});
  // Its gradient is the sum of slices, which costs half of what repeat's takes.
  if (scales > 1) gate = torch::cat(std::vector<torch::Tensor>(static_cast<std::size_t>(scales), gate), 1);
  auto y = scan(parameters, u, gate, table);
  if (scales > 1) y = torch::cat(y.split(sequence, 1), -1);
  y = y.reshape({x.size(0), x.size(1), scales * shape_.d_inner});
  return gathered && spec.restore ? gather_tokens(y, gathered->inverted()) : y;
}

torch::Tensor TokenMixer::scan(const Branch& parameters, const torch::Tensor& u, const torch::Tensor& gate,
                               const std::optional<torch::Tensor>& order) {
  const auto parts = token_product(u, parameters.x_proj->weight)
                         .split_with_sizes({shape_.dt_rank, shape_.d_state, shape_.d_state}, -1);
  auto dt = parts[0], B = parts[1], C = parts[2];
  if (dt_layernorm_) {
    dt = dt_layernorm_->forward(dt);
    B = B_layernorm_->forward(B);
    C = C_layernorm_->forward(C);
  }
  const auto delta = token_product(dt, parameters.dt_proj->weight);
  return selective_scan(u, delta, -torch::exp(parameters.A_log), B, C, parameters.D, optional(gate),
                        parameters.dt_proj->bias, true, std::nullopt, order);
}

void TokenMixer::initialise(const ParameterRandom& random, const std::string& name, bool dt) {
  const torch::NoGradGuard no_grad;
  if (in_proj_->weight.is_meta()) return;
  for (std::size_t i = 0; i < branches_.size(); ++i) {
    Branch& branch = branches_[i];
    branch.A_log.copy_(torch::arange(1, shape_.d_state + 1, torch::kFloat32).log().expand_as(branch.A_log));
    branch.D.fill_(1);
    if (!dt || !shape_.branches[i].dt_initialised) continue;
    const std::string place = name + ".dt_proj" + shape_.branches[i].suffix;
    const double reach = shape_.dt_scale / std::sqrt(static_cast<double>(shape_.dt_rank));
    if (shape_.dt_random)
      random.uniform(branch.dt_proj->weight, place + ".weight", -reach, reach);
    else
      branch.dt_proj->weight.fill_(reach);
    auto& bias = branch.dt_proj->bias;
    random.uniform(bias, place + ".bias", std::log(shape_.dt_min), std::log(shape_.dt_max));
    bias.exp_().clamp_min_(shape_.dt_floor);
    bias.add_(torch::log(-torch::expm1(-bias)));  // the inverse of softplus
  }
}

MambaStack::MambaStack(const TokenMixerShape& shape, std::int64_t depth) {
  const auto layers = register_module("layers", std::make_shared<torch::nn::Module>("Layers"));
  for (std::int64_t i = 0; i < depth; ++i) {
    const auto layer = layers->register_module(std::to_string(i), std::make_shared<torch::nn::Module>("ResidualLayer"));
    mixers_.push_back(layer->register_module("mixer", std::make_shared<TokenMixer>(shape)));
    norms_.push_back(layer->register_module("norm", std::make_shared<RmsNorm>(shape.d_model, shape.rms_norm_eps)));
  }
}

torch::Tensor MambaStack::forward(torch::Tensor tokens, const Grid& grid) {
  for (std::size_t i = 0; i < mixers_.size(); ++i)
    tokens = tokens + mixers_[i]->forward(norms_[i]->forward(tokens), grid);
  return tokens;
}

}  // namespace m3d
