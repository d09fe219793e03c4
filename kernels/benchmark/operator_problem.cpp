#include "kernels/benchmark/operator_problem.h"

#include <torch/torch.h>

#include <algorithm>
#include <limits>

namespace m3d::bench {
namespace {

constexpr std::int64_t kCheckedChannels = 8;

double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) return std::numeric_limits<double>::infinity();
  if (expected.numel() == 0) return 0;
  const double scale = expected.abs().max().item<double>();
  const double error = (actual.to(at::kDouble) - expected).abs().max().item<double>();
  // Written so that NaN, on either side, is an error.
  if (!(error <= std::numeric_limits<double>::max())) return std::numeric_limits<double>::infinity();
  return scale > 0 ? error / scale : error;
}

/// Output, and with `backward` the gradient of every input.
Tensors evaluate(const Operator& function, const Tensors& inputs, const at::Tensor& grad, bool backward) {
  Tensors results{function(inputs)};
  if (!backward) return results;
  for (at::Tensor& gradient : torch::autograd::grad({results[0]}, inputs, {grad}))
    results.push_back(std::move(gradient));
  return results;
}

/// Takes the checked channels out of tensors.
class Cut {
 public:
  Cut(const OperatorCall& call, const at::Tensor& output) : input_(call.input_channels), output_(call.output_channels) {
    if (input_.empty()) return;
    const std::int64_t channels = output.size(output_), count = std::min(channels, kCheckedChannels);
    chosen_ = torch::linspace(0, static_cast<double>(channels - 1), count, torch::kDouble).round().to(torch::kLong);
    chosen_ = chosen_.to(output.device());
  }
  at::Tensor input(const at::Tensor& tensor, std::size_t index) const {
    return input_.empty() ? tensor : tensor.index_select(input_[index], chosen_);
  }
  at::Tensor output(const at::Tensor& tensor) const {
    return input_.empty() ? tensor : tensor.index_select(output_, chosen_);
  }
  Tensors results(const Tensors& all) const {
    Tensors kept{output(all[0])};
    for (std::size_t i = 1; i < all.size(); ++i) kept.push_back(input(all[i], i - 1));
    return kept;
  }

 private:
  std::vector<std::int64_t> input_;
  std::int64_t output_;
  at::Tensor chosen_;
};

double error_of(const OperatorCall& call, const at::Tensor& grad, const Tensors& results) {
  const Cut cut(call, results[0]);
  Tensors exact;
  for (std::size_t i = 0; i < call.inputs.size(); ++i)
    exact.push_back(cut.input(call.inputs[i].detach(), i).to(at::kDouble).requires_grad_(call.backward));
  const at::Tensor exact_grad = cut.output(grad).to(at::kDouble);
  return largest_relative_error(cut.results(results), evaluate(call.reference, exact, exact_grad, call.backward));
}

}  // namespace

double largest_relative_error(const Tensors& actual, const Tensors& expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  const at::NoGradGuard no_grad;
  double largest = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) largest = std::max(largest, relative_error(actual[i], expected[i]));
  return largest;
}

double bytes_moved(const Tensors& inputs, const at::Tensor& output, bool backward) {
  double read = 0;
  for (const at::Tensor& input : inputs) read += static_cast<double>(input.nbytes());
  const auto written = static_cast<double>(output.nbytes());
  // Backward reads the inputs again and the output's gradient, and writes a gradient for every input.
  return backward ? 3 * read + 2 * written : read + written;
}

bool takes(const Operator& call, const Tensors& inputs) {
  try {
    call(inputs);
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

Problem make_problem(const OperatorCall& call, const Work& work) {
  OperatorCall kept = call;
  for (at::Tensor& input : kept.inputs) input.requires_grad_(call.backward);
  at::Tensor grad;
  {
    const at::NoGradGuard no_grad;
    grad = torch::randn_like(call.ours(kept.inputs));
  }
  Problem problem;
  problem.call = [kept, grad] { return evaluate(kept.ours, kept.inputs, grad, kept.backward); };
  problem.error = [kept, grad](const Tensors& results) { return error_of(kept, grad, results); };
  problem.tolerance = grad.element_size() < 4 ? 2e-2 : 2e-5;
  problem.work = work;
  return problem;
}

}  // namespace m3d::bench
