#include "architectures/group_norm_kernel.h"

#include <torch/torch.h>

#include <vector>

#include "tests/catch.h"

using namespace m3d;

namespace {

using torch::Tensor;

struct Form {
  std::vector<std::int64_t> shape;
  std::int64_t groups;
  bool weighted;
};

/// Result and gradients of input, weight and bias, for a volume laid out as `format` says.
std::vector<Tensor> results(const Form& form, torch::ScalarType type, torch::MemoryFormat format) {
  torch::manual_seed(3);
  const Tensor input = (2 + torch::randn(form.shape, torch::kDouble)).to(type).contiguous(format).requires_grad_();
  const Tensor slope = torch::randn(form.shape, torch::kDouble).to(type);
  const std::int64_t channels = form.shape[1];
  Tensor weight, bias;
  if (form.weighted) {
    weight = torch::randn({channels}, torch::kDouble).to(type).requires_grad_();
    bias = torch::randn({channels}, torch::kDouble).to(type).requires_grad_();
  }
  const Tensor result = torch::group_norm(input, form.groups, weight, bias);
  result.backward(slope);
  std::vector<Tensor> all{result.detach(), input.grad()};
  if (form.weighted) all.insert(all.end(), {weight.grad(), bias.grad()});
  return all;
}

double largest_difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Tensor expected = b[i].to(torch::kDouble);
    largest =
        std::max(largest, ((a[i].to(torch::kDouble) - expected).abs().max() / expected.abs().max()).item<double>());
  }
  return largest;
}

}  // namespace

TEST_CASE("gradients of normalisation of channels that lie together equal LibTorch's of the other layout") {
  register_group_norm_kernel();
  const Form form =
      GENERATE(Form{{2, 12, 5, 6, 7}, 12, true}, Form{{2, 12, 5, 6, 7}, 3, true}, Form{{1, 16, 4, 4, 4}, 16, false},
               Form{{2, 8, 6, 5}, 2, true}, Form{{3, 6, 4, 9}, 6, false});
  const auto last = form.shape.size() == 5 ? torch::MemoryFormat::ChannelsLast3d : torch::MemoryFormat::ChannelsLast;
  CAPTURE(form.shape, form.groups);
  const auto expected = results(form, torch::kDouble, torch::MemoryFormat::Contiguous);
  CHECK(largest_difference(results(form, torch::kDouble, last), expected) < 1e-13);
  CHECK(largest_difference(results(form, torch::kFloat, last), expected) < 1e-5);
  CHECK(largest_difference(results(form, torch::kBFloat16, last), expected) < 0.05);
  const int threads = at::get_num_threads();
  const auto once = results(form, torch::kFloat, last);
  at::set_num_threads(threads == 1 ? 2 : 1);
  const auto again = results(form, torch::kFloat, last);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < once.size(); ++i) CHECK(torch::equal(once[i], again[i]));
}
