#include "architectures/onednn_kernels.h"

#include <ATen/record_function.h>
#include <torch/torch.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/catch.h"

using namespace m3d;

namespace {

using torch::Tensor;

thread_local std::set<std::string> called;

/// Names of the operators that `work` calls.
std::set<std::string> operators_of(const std::function<void()>& work) {
  called.clear();
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& call) -> std::unique_ptr<at::ObserverContext> {
        called.insert(call.name());
        return nullptr;
      }));
  work();
  at::removeCallback(handle);
  return called;
}

/// The largest difference between float32 and float64 over result and gradients, in units of each one's largest value.
double error_of(const std::function<Tensor(const std::vector<Tensor>&)>& function, const std::vector<Tensor>& inputs) {
  const auto results = [&](torch::ScalarType type) {
    std::vector<Tensor> leaves, all;
    for (const Tensor& input : inputs) leaves.push_back(input.detach().to(type).requires_grad_());
    all.push_back(function(leaves));
    all.front().square().mean().backward();
    for (const Tensor& leaf : leaves) all.push_back(leaf.grad());
    return all;
  };
  const auto single = results(torch::kFloat32), exact = results(torch::kFloat64);
  double largest = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    REQUIRE(single[i].sizes() == exact[i].sizes());
    largest = std::max(largest, ((single[i] - exact[i]).abs().max() / exact[i].abs().max()).item<double>());
  }
  return largest;
}

}  // namespace

TEST_CASE("float32 products by oneDNN agree with float64, gradients too") {
  register_onednn_kernels();
  torch::manual_seed(1);
  for (const std::int64_t rows : {1, 7, 300, 1030}) {
    const auto a = torch::randn({rows, 96}), b = torch::randn({96, 130}), bias = torch::randn({130});
    const auto batch = torch::randn({5, rows, 96}), other = torch::randn({5, 96, 130});
    CHECK(error_of([](const auto& x) { return torch::mm(x[0], x[1]); }, {a, b}) < 1e-5);
    CHECK(error_of([](const auto& x) { return torch::mm(x[0].t(), x[1].t()); },
                   {a.t().contiguous(), b.t().contiguous()}) < 1e-5);
    CHECK(error_of([](const auto& x) { return torch::mm(x[0].narrow(1, 40, 8), x[1].narrow(0, 3, 8)); }, {a, b}) <
          1e-5);
    CHECK(error_of([](const auto& x) { return torch::mm(x[0], x[1].narrow(1, 3, 20)); }, {a, b}) < 1e-5);
    CHECK(error_of([](const auto& x) { return torch::linear(x[0], x[1], x[2]); }, {a, b.t().contiguous(), bias}) <
          1e-5);
    CHECK(error_of([](const auto& x) { return torch::linear(x[0], x[1], x[2]); }, {batch, b.t().contiguous(), bias}) <
          1e-5);
    CHECK(error_of([](const auto& x) { return torch::addmm(x[2], x[0], x[1], 0.5, 2); }, {a, b, bias}) < 1e-5);
    CHECK(error_of([](const auto& x) { return torch::bmm(x[0], x[1]); }, {batch, other}) < 1e-5);
    CHECK(error_of([](const auto& x) { return torch::bmm(x[0].narrow(2, 3, 90), x[1].narrow(1, 3, 90)); },
                   {batch, other}) < 1e-5);
  }
}

TEST_CASE("convolutions of few voxels go to oneDNN instead of being unfolded") {
  register_onednn_kernels();
  torch::manual_seed(2);
  struct Form {
    bool transposed;
    std::int64_t kernel, stride, padding;
    bool channels_last;
  };
  const std::vector<Form> forms = {{false, 3, 1, 1, false},
                                   {false, 3, 2, 1, true},
                                   {false, 1, 1, 0, true},
                                   {true, 2, 2, 0, false},
                                   {true, 2, 2, 0, true}};
  for (const auto& [transposed, kernel, stride, padding, last] : forms) {
    CAPTURE(transposed, kernel, stride, last);
    const auto image = torch::randn({1, 64, 4, 6, 5}), bias = torch::randn({72});
    const auto weight =
        transposed ? torch::randn({64, 72, kernel, kernel, kernel}) : torch::randn({72, 64, kernel, kernel, kernel});
    const auto convolve = [=](const std::vector<Tensor>& x) {
      const auto input = last ? x[0].contiguous(torch::MemoryFormat::ChannelsLast3d) : x[0];
      return torch::convolution(input, x[1], x[2], {stride, stride, stride}, {padding, padding, padding}, {1, 1, 1},
                                transposed, {0, 0, 0}, 1);
    };
    CHECK(error_of(convolve, {image, weight, bias}) < 1e-5);
  }
  const auto names = operators_of([] {
    torch::conv3d(torch::randn({1, 64, 4, 6, 5}), torch::randn({72, 64, 3, 3, 3}), {}, 1, 1);
  });
  CHECK(names.count("aten::mkldnn_convolution") == 1);
}

TEST_CASE("products by oneDNN repeat to the bit") {
  register_onednn_kernels();
  const auto a = torch::randn({777, 128}), b = torch::randn({128, 257});
  CHECK(torch::equal(torch::mm(a, b), torch::mm(a, b)));
}
