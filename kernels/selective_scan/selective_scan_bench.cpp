// Speed of the selective scan: B=1, N=16, softplus, D, delta_bias, no z, at the layers of the real networks; in one
// order, in three orders at once (tri), and as that was done before: one scan an order, of permuted copies.
#include <torch/torch.h>

#include <algorithm>

#include "kernels/benchmark/operator_problem.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/selective_scan/selective_scan_reference.h"

namespace m3d::bench {
namespace {

constexpr std::int64_t kStates = 16;
/// The reference, one token after another, sees the beginning only; the whole is checked against float64.
constexpr std::int64_t kReferenceTokens = 64;

struct Shape {
  std::int64_t channels, length;
};
/// The peers' three; UlikeMamba_3d's first two stages at 64x128x128 (the first is a peers') and at 48x192x192;
/// SegMamba's first two at 128^3; U-Mamba's bottleneck.
constexpr Shape kShapes[] = {{96, 32768}, {512, 4096},  {1024, 512},  {256, 4096}, {96, 55296},
                             {256, 6912}, {96, 262144}, {192, 32768}, {640, 64}};

/// tri: three axis orders; tri_copies: the same by gathering.
enum class Form { single, tri, tri_copies };

std::string name_of(Form form) {
  return form == Form::single ? "selective_scan" : form == Form::tri ? "selective_scan_tri" : "selective_scan_tri_copies";
}

/// Row-major tokens of a grid of 8 x 8 lines, then with its axes permuted.
at::Tensor tri_orders(std::int64_t length, at::Device device) {
  const at::Tensor grid = torch::arange(length, at::TensorOptions(at::kInt).device(device)).view({8, 8, length / 64});
  return torch::stack(
      {grid.reshape({-1}), grid.permute({0, 2, 1}).reshape({-1}), grid.permute({1, 2, 0}).reshape({-1})});
}

at::Tensor scan_in(const Tensors& t, const std::optional<at::Tensor>& orders) {
  return selective_scan(t[0], t[1], t[2], t[3], t[4], t[5], std::nullopt, t[6], true, std::nullopt, orders);
}
at::Tensor scan(const Tensors& t) { return scan_in(t, std::nullopt); }

at::Tensor scan_copies(const Tensors& t, const at::Tensor& orders) {
  at::Tensor sum;
  for (const at::Tensor& order : orders.to(at::kLong).unbind(0)) {
    Tensors permuted = t;
    for (const std::size_t k : {0, 1, 3, 4}) permuted[k] = t[k].index_select(1, order);
    const at::Tensor y = scan(permuted).index_select(1, order.argsort());
    sum = sum.defined() ? sum + y : y;
  }
  return sum;
}

/// The operator in a form, for sequences of this length.
Operator operator_of(Form form, std::int64_t length, at::Device device) {
  if (form == Form::single) return scan;
  const at::Tensor orders = tri_orders(length, device);
  if (form == Form::tri) return [orders](const Tensors& t) { return scan_in(t, orders); };
  return [orders](const Tensors& t) { return scan_copies(t, orders); };
}

Operator reference_of(Form form, std::int64_t length, at::Device device) {
  std::optional<at::Tensor> orders;
  if (form != Form::single) orders = tri_orders(length, device);
  return [orders](const Tensors& t) {
    return std::get<0>(selective_scan_reference(t[0], t[1], t[2], t[3], t[4], t[5], std::nullopt, t[6], true,
                                                std::nullopt, orders));
  };
}

Tensors make_inputs(const Shape& shape, at::ScalarType dtype, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  return {torch::randn({1, shape.length, shape.channels}, options),
          torch::randn({1, shape.length, shape.channels}, options) - 4,
          -torch::arange(1, kStates + 1, options).repeat({shape.channels, 1}),
          torch::randn({1, shape.length, kStates}, options),
          torch::randn({1, shape.length, kStates}, options),
          torch::ones({shape.channels}, options),
          torch::zeros({shape.channels}, options)};
}

Work work_of(const Tensors& inputs, Form form, bool backward) {
  Work work;
  work.elements = static_cast<double>(inputs[0].numel());
  work.bytes = bytes_moved(inputs, inputs[0], backward);
  const double updates = work.elements * kStates * (form == Form::single ? 1 : 3);
  // A state update is 8 operations of exp2 and 4 others; backward has 19 more (recomputation 11, reverse sweep 8).
  work.operations = updates * (backward ? 31 : 12);
  work.exponentials = updates * (backward ? 2 : 1);
  return work;
}

/// Tokens of a call for the reference, which takes one after another: another sequence, of the first tokens' values.
Tensors beginning(const Tensors& inputs) {
  Tensors cut;
  for (const at::Tensor& input : inputs) {
    const at::Tensor values = input.detach();
    cut.push_back(values.dim() == 3 ? values.narrow(1, 0, std::min(values.size(1), kReferenceTokens)) : values);
  }
  return cut;
}

/// The whole is checked against float64, the reference against a short sequence.
Problem make_scan_problem(const Tensors& inputs, Form form, bool backward) {
  const auto device = inputs[0].device();
  const Operator ours = operator_of(form, inputs[0].size(1), device);
  const Problem whole = make_problem({ours, ours, inputs, backward}, work_of(inputs, form, backward));
  const Tensors first = beginning(inputs);
  const std::int64_t length = first[0].size(1);
  const Problem start = make_problem(
      {operator_of(form, length, device), reference_of(form, length, device), first, backward}, {});
  Problem problem = whole;
  problem.error = [whole, start](const Tensors& results) {
    return std::max(whole.error(results), start.error(start.call()));
  };
  return problem;
}

void add(std::vector<Benchmark>& benchmarks) {
  for (const Form form : {Form::single, Form::tri, Form::tri_copies})
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
      for (const bool backward : {false, true})
        for (const Shape& shape : kShapes) {
          const std::string name = name_of(form) + "/" + pass_name(backward) + "/" + dtype_name(dtype) +
                                   "/D:" + std::to_string(shape.channels) + "/L:" + std::to_string(shape.length);
          benchmarks.push_back({name, [=](at::Device device) {
                                  torch::manual_seed(0);
                                  return make_scan_problem(make_inputs(shape, dtype, device), form, backward);
                                }});
        }
}

const Registration registered(add);

}  // namespace
}  // namespace m3d::bench
