#include <torch/torch.h>

#include <map>

#include "common/error.h"
#include "common/random.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "kernels/selective_scan/selective_scan.h"
#include "suite/verify/verify.h"

namespace m3d {
namespace {

constexpr double kTolerance = 1e-9;  // of the largest expected magnitude

using Tensors = std::map<std::string, torch::Tensor>;

torch::Tensor tensor_of(const Json& entry) {
  const auto values = entry.at("values").get<std::vector<double>>();
  return torch::tensor(values, torch::kFloat64).reshape(entry.at("shape").get<std::vector<std::int64_t>>());
}

torch::Tensor weights_of(const std::string& name, torch::IntArrayRef shape) {
  auto weights = torch::empty(shape, torch::kFloat64);
  auto* values = weights.data_ptr<double>();
  const NamedUniform uniform(name);
  for (std::int64_t i = 0; i < weights.numel(); ++i) values[i] = uniform(static_cast<std::uint64_t>(i));
  return weights;
}

std::optional<torch::Tensor> optional(const Tensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? std::nullopt : std::optional<torch::Tensor>(found->second);
}

/// Records are channels-first, [b, d, l]; our operators channels-last, [B, L, D].
std::optional<torch::Tensor> tokens_last(const std::optional<torch::Tensor>& tensor) {
  return tensor ? std::optional<torch::Tensor>(tensor->transpose(1, 2)) : std::nullopt;
}

Tensors run_selective_scan(const Json& item, const Tensors& in) {
  const auto last = [&](const char* name) { return in.at(name).transpose(1, 2); };
  const auto [y, state] =
      selective_scan_with_state(last("u"), last("delta"), in.at("A"), last("B"), last("C"), optional(in, "D"),
                                tokens_last(optional(in, "z")), optional(in, "delta_bias"), item.at("delta_softplus"));
  return {{"out", y.transpose(1, 2)}, {"last_state", state}};
}

Tensors run_causal_conv1d(const Json& item, const Tensors& in) {
  const Json& activation = item.at("activation");
  const bool silu = activation.is_string() && (activation == "silu" || activation == "swish");
  return {
      {"out", causal_conv1d(in.at("x").transpose(1, 2), in.at("weight"), optional(in, "bias"), silu).transpose(1, 2)}};
}

Tensors run_depthwise_conv3d(const Json&, const Tensors& in) {
  const auto y = depthwise_conv3d(in.at("x").permute({0, 2, 3, 4, 1}), in.at("weight"), optional(in, "bias"));
  return {{"out", y.permute({0, 4, 1, 2, 3})}};
}

using Operator = Tensors (*)(const Json& item, const Tensors& inputs);

Operator find_operator(const std::string& name) {
  if (name == "selective_scan") return run_selective_scan;
  if (name == "causal_conv1d") return run_causal_conv1d;
  if (name == "depthwise_conv3d") return run_depthwise_conv3d;
  return nullptr;
}

void compare_tensor(RecordComparison& compare, const std::string& what, const torch::Tensor& actual,
                    const Json& expected) {
  const auto wanted = tensor_of(expected);
  compare.exact("shape of " + what, actual.sizes() == wanted.sizes());
  if (actual.sizes() != wanted.sizes() || wanted.numel() == 0) return;
  const double largest = wanted.abs().max().item<double>();
  const auto got = actual.detach().contiguous();
  const auto* a = got.const_data_ptr<double>();
  const auto* b = wanted.const_data_ptr<double>();
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    compare.number(what + "[" + std::to_string(i) + "]", a[i], b[i], largest, largest > 0 ? kTolerance : 1e-12);
}

/// The scan's loss weighs its last state too, with "<id>.w_state".
torch::Tensor loss_of(const std::string& id, const Tensors& outputs) {
  auto loss = (outputs.at("out") * weights_of(id + ".w", outputs.at("out").sizes())).sum();
  if (const auto state = optional(outputs, "last_state"))
    loss = loss + (*state * weights_of(id + ".w_state", state->sizes())).sum();
  return loss;
}

void compare_case(RecordComparison& compare, Operator run, const Json& item) {
  const std::string id = item.at("id");
  Tensors inputs;
  for (const auto& [name, entry] : item.at("inputs").items()) inputs[name] = tensor_of(entry).requires_grad_();
  const Tensors outputs = run(item, inputs);
  for (const auto& [name, entry] : item.at("outputs").items()) {
    compare.exact("output " + name, outputs.count(name) == 1, "is not computed here");
    if (outputs.count(name)) compare_tensor(compare, id + "." + name, outputs.at(name), entry);
  }
  const auto loss = loss_of(id, outputs);
  const double expected = item.at("loss");
  compare.number(id + ".loss", loss.item<double>(), expected, std::max(std::abs(expected), 1.0), kTolerance);
  loss.backward();
  for (const auto& [name, entry] : item.at("gradients").items()) {
    const auto gradient = inputs.at(name).grad();
    compare_tensor(compare, id + ".gradient." + name,
                   gradient.defined() ? gradient : torch::zeros_like(inputs.at(name)), entry);
  }
}

}  // namespace

RecordCheck verify_operator(const Json& record) {
  const std::string name = record.at("name");
  const Operator run = find_operator(name);
  if (!run) return {name, "operator", Verdict::unsupported, 0, "this build has no operator of this name"};
  RecordComparison compare;
  for (const auto& item : record.at("cases")) compare_case(compare, run, item);
  return compare.result(name, "operator");
}

}  // namespace m3d
