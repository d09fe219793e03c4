#include <torch/torch.h>

#include "kernels/checks.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

torch::Tensor one_by_one(const torch::Tensor& parts, std::int64_t dimension) {
  torch::Tensor total = parts.select(dimension, 0).clone();
  for (std::int64_t k = 1; k < parts.size(dimension); ++k) total = total + parts.select(dimension, k);
  return total;
}

}  // namespace

TEST_CASE("parts are added in their order, to the bit, wherever they lie", "[sum_in_order]") {
  torch::manual_seed(1);
  const auto type = GENERATE(torch::kFloat, torch::kDouble, torch::kBFloat16);
  const auto random = [&](at::IntArrayRef sizes) { return torch::randn(sizes, type); };
  const auto check = [](const torch::Tensor& parts, std::int64_t dimension) {
    CAPTURE(parts.sizes(), parts.strides(), dimension);
    const auto sum = sum_in_order(parts, dimension);
    CHECK(sum.is_contiguous());
    CHECK(torch::equal(sum, one_by_one(parts, dimension)));
  };
  check(random({1, 5, 3}), 0);
  check(random({7, 5, 3}), 0);
  check(random({9, 1300}), 0);
  check(random({2, 6, 2, 11, 16}).select(2, 1), 1);  // as the scan's B and C
  check(random({3, 4, 700}), 1);
  check(random({3, 4, 5}), 2);
  check(random({4, 6, 10}).transpose(1, 2), 0);
  check(random({4, 6, 10}).narrow(2, 1, 7), 0);
}
