#include "architectures/transunet/vision_transformer.h"

namespace m3d {
namespace {

constexpr double kNormEps = 1e-6;

}  // namespace

VitAttention::VitAttention(const TransUnetConfig& config)
    : heads_(config.heads), dropout_rate_(config.attention_dropout) {
  const auto linear = [&](const char* name) {
    return register_module(name, std::make_shared<Linear>(config.hidden, config.hidden, true));
  };
  query_ = linear("query"), key_ = linear("key"), value_ = linear("value"), out_ = linear("out");
  dropout_ = register_module("proj_dropout", std::make_shared<Dropout>(config.attention_dropout));
}

torch::Tensor VitAttention::forward(const torch::Tensor& tokens) {
  const auto split_heads = [this](const torch::Tensor& x) { return x.unflatten(-1, {heads_, -1}).transpose(1, 2); };
  const auto mixed = torch::scaled_dot_product_attention(
      split_heads(query_->forward(tokens)), split_heads(key_->forward(tokens)), split_heads(value_->forward(tokens)),
      {}, is_training() ? dropout_rate_ : 0.0);
  return dropout_->forward(out_->forward(mixed.transpose(1, 2).flatten(2)));
}

VitMlp::VitMlp(const TransUnetConfig& config) {
  fc1 = register_module("fc1", std::make_shared<Linear>(config.hidden, config.mlp, true));
  fc2 = register_module("fc2", std::make_shared<Linear>(config.mlp, config.hidden, true));
  dropout_ = register_module("dropout", std::make_shared<Dropout>(config.dropout));
}

torch::Tensor VitMlp::forward(const torch::Tensor& tokens) {
  return dropout_->forward(fc2->forward(dropout_->forward(torch::gelu(fc1->forward(tokens)))));
}

VitLayer::VitLayer(const TransUnetConfig& config) {
  attention_norm_ = register_module("attention_norm", std::make_shared<LayerNorm>(config.hidden, kNormEps));
  ffn_norm_ = register_module("ffn_norm", std::make_shared<LayerNorm>(config.hidden, kNormEps));
  ffn_ = register_module("ffn", std::make_shared<VitMlp>(config));
  attn_ = register_module("attn", std::make_shared<VitAttention>(config));
}

torch::Tensor VitLayer::forward(torch::Tensor tokens) {
  tokens = tokens + attn_->forward(attention_norm_->forward(tokens));
  return tokens + ffn_->forward(ffn_norm_->forward(tokens));
}

VitEncoder::VitEncoder(const TransUnetConfig& config) {
  const auto list = register_module("layer", std::make_shared<torch::nn::Module>());
  for (std::int64_t i = 0; i < config.layers; ++i)
    layers_.push_back(list->register_module(std::to_string(i), std::make_shared<VitLayer>(config)));
  encoder_norm_ = register_module("encoder_norm", std::make_shared<LayerNorm>(config.hidden, kNormEps));
}

torch::Tensor VitEncoder::forward(torch::Tensor tokens) {
  for (const auto& layer : layers_) tokens = layer->forward(tokens);
  return encoder_norm_->forward(tokens);
}

}  // namespace m3d
