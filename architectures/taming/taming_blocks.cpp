#include "architectures/taming/taming_blocks.h"

#include "architectures/blocks/full_precision.h"

namespace m3d {
namespace {

constexpr double kNormEps = 1e-5;

/// `run` on the tokens in the order's sequence, its result put back.
template <class Run>
torch::Tensor in_order(const torch::Tensor& tokens, const ScanOrder& order, const Grid& grid, const Run& run) {
  if (order.is_identity()) return run(tokens);
  const auto permutation = token_permutation(order, grid, RandomOrder::fixed, 0, 0);
  return gather_tokens(run(gather_tokens(tokens, *permutation)), permutation->inverted());
}

/// The orders read forwards.
std::vector<ScanOrder> forward_orders(MambaDirections directions, bool paper_order) {
  if (directions != MambaDirections::four_orders) return {scan_order("dhw")};
  return {scan_order("dhw"), scan_order("dwh"), scan_order("hdw"), scan_order(paper_order ? "whd" : "wdh")};
}

}  // namespace

MambaTrans::MambaTrans(const MambaTransShape& shape, ScanOrder order) : order_(std::move(order)) {
  const auto norm = [&] { return std::make_shared<LayerNorm>(shape.channels, kNormEps); };
  if (shape.mixer) {
    TokenMixerShape mixer = plain_mamba(shape.channels, shape.d_state, shape.d_conv, shape.expand);
    mixer.checkpointed = shape.checkpointed;
    mamba_ = register_module("mamba", std::make_shared<TokenMixer>(mixer));
    norm1_ = register_module("norm1", norm());
  }
  norm2_ = register_module("norm2", norm());
  head_ = register_module("head", std::make_shared<Linear>(shape.channels, shape.channels, true));
}

torch::Tensor MambaTrans::forward(const torch::Tensor& tokens, const Grid& grid) {
  auto x = tokens;
  if (mamba_)
    x = x + in_order(norm1_->forward(x), order_, grid, [&](const torch::Tensor& sequence) {
          return mamba_->forward(sequence, {1, 1, sequence.size(1)});
        });
  return x + head_->forward(norm2_->forward(x));
}

TwoWayMamba::TwoWayMamba(const MambaTransShape& shape, const ScanOrder& order) {
  fwd_mamba_ = register_module("fwd_mamba", std::make_shared<MambaTrans>(shape, order));
  bwd_mamba_ = register_module("bwd_mamba", std::make_shared<MambaTrans>(shape, reversed(order)));
  norm_ = register_module("norm", std::make_shared<LayerNorm>(shape.channels, kNormEps));
}

torch::Tensor TwoWayMamba::forward(const torch::Tensor& tokens, const Grid& grid) {
  return norm_->forward(fwd_mamba_->forward(tokens, grid) + bwd_mamba_->forward(tokens, grid));
}

TamingLayer::TamingLayer(const MambaTransShape& shape, MambaDirections directions, bool paper_order) {
  const auto orders = forward_orders(directions, paper_order);
  if (directions != MambaDirections::four_orders)
    norm_ = register_module("norm", std::make_shared<LayerNorm>(shape.channels, kNormEps));
  if (directions == MambaDirections::one)
    one_way_ = register_module("mamba", std::make_shared<MambaTrans>(shape, orders[0]));
  if (directions == MambaDirections::two)
    two_ways_.push_back(register_module("mamba", std::make_shared<TwoWayMamba>(shape, orders[0])));
  if (directions != MambaDirections::four_orders) return;
  const auto list = register_module("mambas", std::make_shared<torch::nn::Module>("ModuleList"));
  for (std::size_t i = 0; i < orders.size(); ++i)
    two_ways_.push_back(list->register_module(std::to_string(i), std::make_shared<TwoWayMamba>(shape, orders[i])));
}

torch::Tensor TamingLayer::mixed(const torch::Tensor& tokens, const Grid& grid) {
  if (one_way_) return one_way_->forward(tokens, grid);
  auto sum = two_ways_[0]->forward(tokens, grid);
  for (std::size_t i = 1; i < two_ways_.size(); ++i) sum = sum + two_ways_[i]->forward(tokens, grid);
  return two_ways_.size() == 1 ? sum : sum / static_cast<double>(two_ways_.size());
}

torch::Tensor TamingLayer::forward(const torch::Tensor& volume) {
  // As in the original, whose layer of four orders is the one that autocast reaches.
  std::optional<FullPrecision> no_autocast;
  if (norm_) no_autocast.emplace(volume.device());
  const auto x = norm_ ? FullPrecision::of(volume) : volume;
  const auto tokens = tokens_of(x);
  return mixed(norm_ ? norm_->forward(tokens) : tokens, grid_of(x)).transpose(1, 2).reshape(x.sizes());
}

std::vector<ScanOrder> taming_orders(MambaDirections directions, bool paper_order) {
  std::vector<ScanOrder> orders;
  for (const auto& order : forward_orders(directions, paper_order)) {
    orders.push_back(order);
    if (directions != MambaDirections::one) orders.push_back(reversed(order));
  }
  return orders;
}

}  // namespace m3d
