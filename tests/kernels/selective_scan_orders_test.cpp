#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "tests/kernels/scan_arguments.h"

using namespace m3d;
using namespace m3d::test;

namespace {

/// Three orders of a grid: row-major, and with its axes permuted.
at::Tensor tri_orders(at::IntArrayRef grid) {
  return torch::cat({axis_order(grid, {0, 1, 2}), axis_order(grid, {0, 2, 1}), axis_order(grid, {1, 2, 0})});
}

/// The same sum by single scans of permuted copies.
at::Tensor y_of_copies(const Scan& scan, const Tensors& t) {
  at::Tensor sum;
  for (const at::Tensor& order : scan.orders->to(torch::kLong).unbind(0)) {
    Tensors permuted = t;
    for (const std::size_t k : {0, 1, 3, 4, 6}) permuted[k] = t[k].index_select(1, order);
    Scan single = scan;
    single.orders = std::nullopt;
    const at::Tensor y = y_of(single, permuted).index_select(1, order.argsort());
    sum = sum.defined() ? sum + y : y;
  }
  return sum;
}

}  // namespace

TEST_CASE("selective_scan orders: equal to the sequential form and to permuted copies", "[selective_scan]") {
  const at::Tensor orders[] = {reversed_order(60),
                               random_order(60),
                               axis_order({3, 4, 5}, {0, 2, 1}),
                               torch::cat({natural_order(60), reversed_order(60)}),
                               tri_orders({3, 4, 5}),
                               torch::cat({tri_orders({3, 4, 5}), random_order(60)})};
  for (const at::Tensor& table : orders) {
    Scan scan = make_scan(2, 60, 37, 5);
    scan.orders = table;
    const at::Tensor expected = reference_y_of(scan, scan.tensors);
    const Tensors expected_gradients = y_gradients(scan, reference_y_of);
    for (const InstructionSet set : all_instruction_sets) {
      CAPTURE(table.sizes(), static_cast<int>(set));
      const UseInstructionSet use(set);
      CHECK(relative_error(y_of(scan, scan.tensors), expected) < 1e-12);
      CHECK(relative_error(y_of_copies(scan, scan.tensors), expected) < 1e-12);
      const Tensors grads = y_gradients(scan, y_of);
      for (std::size_t k = 0; k < grads.size(); ++k) CHECK(relative_error(grads[k], expected_gradients[k]) < 1e-11);
    }
  }
}

TEST_CASE("selective_scan orders: one order gives the bits of a scan of permuted copies", "[selective_scan]") {
  Scan scan = make_scan(1, 77, 40, 16).to(at::kFloat);
  scan.orders = random_order(77);
  CHECK(torch::equal(y_of(scan, scan.tensors), y_of_copies(scan, scan.tensors)));
  require_equal_bits(y_gradients(scan, y_of), y_gradients(scan, y_of_copies));
}

TEST_CASE("selective_scan orders: gradients against finite differences", "[selective_scan]") {
  Scan one = make_scan(1, 18, 2, 3, 31);
  one.orders = random_order(18);
  CHECK(gradient_error([&](const Tensors& t) { return one.loss(selective_scan_with_state, t); }, one.tensors) < 2e-8);
  for (const at::Tensor& orders : {torch::cat({reversed_order(18), random_order(18)}), tri_orders({2, 3, 3})}) {
    Scan several = make_scan(2, 18, 2, 3);
    several.orders = orders;
    const auto loss = [&](const Tensors& t) {
      const at::Tensor y = y_of(several, t);
      return (y * fill("weights", y.sizes())).sum();
    };
    CHECK(gradient_error(loss, several.tensors) < 2e-8);
  }
}

TEST_CASE("selective_scan orders: the state follows the order", "[selective_scan]") {
  Scan scan = make_scan(2, 33, 20, 4, 31);
  scan.orders = reversed_order(33);
  const auto [y, state] = scan.call(selective_scan_with_state, scan.tensors);
  const auto [expected, expected_state] = scan.call(selective_scan_reference, scan.tensors);
  CHECK(relative_error(y, expected) < 1e-12);
  CHECK(relative_error(state, expected_state) < 1e-12);
  // Two halves with the state handed on are the whole.
  Scan half = scan;
  half.orders = std::nullopt;
  const auto part = [&](std::int64_t begin, std::int64_t count, const at::Tensor& initial) {
    Tensors t = half.tensors;
    for (const std::size_t k : {0, 1, 3, 4, 6}) t[k] = t[k].narrow(1, begin, count);
    t.back() = initial;
    return half.call(selective_scan_with_state, t);
  };
  const auto [whole_y, whole_state] = half.call(selective_scan_with_state, half.tensors);
  const auto [first_y, first_state] = part(0, 15, half.tensors.back());
  const auto [second_y, second_state] = part(15, 18, first_state);
  CHECK(relative_error(torch::cat({first_y, second_y}, 1), whole_y) < 1e-14);
  CHECK(relative_error(second_state, whole_state) < 1e-14);
}

TEST_CASE("selective_scan orders: no tokens; the state that was given is the last", "[selective_scan]") {
  Scan scan = make_scan(2, 0, 20, 4, 31);
  scan.orders = natural_order(0);
  const auto [y, state] = scan.call(selective_scan_with_state, scan.tensors);
  CHECK(y.sizes() == scan.tensors[0].sizes());
  CHECK(torch::equal(state, scan.tensors.back()));
  const Tensors grads = scan.gradients_of(selective_scan_with_state);
  CHECK(torch::equal(grads.back(), fill("state", state.sizes())));
  CHECK(torch::equal(grads[2], torch::zeros_like(grads[2])));
  const Scan no_channels = make_scan(1, 7, 0, 4, 31);
  for (const at::Tensor& grad : no_channels.gradients_of(selective_scan_with_state))
    CHECK(torch::equal(grad, torch::zeros_like(grad)));
}

TEST_CASE("selective_scan orders: bits independent of threads and calls", "[selective_scan]") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Scan scan = make_scan(2, 3 * 16 * 16, 100, 16).to(type);
    scan.orders = tri_orders({3, 16, 16});
    const at::Tensor y = y_of(scan, scan.tensors);
    const Tensors grads = y_gradients(scan, y_of);
    const int threads = at::get_num_threads();
    for (const int other : {threads, 1, 2, 5}) {
      CAPTURE(other);
      at::set_num_threads(other);
      CHECK(torch::equal(y, y_of(scan, scan.tensors)));
      require_equal_bits(grads, y_gradients(scan, y_of));
    }
    at::set_num_threads(threads);
  }
}

TEST_CASE("selective_scan orders: 300001 tokens in random order", "[selective_scan]") {
  Scan exact = make_scan(1, 300001, 5, 3);
  exact.orders = torch::cat({random_order(300001), reversed_order(300001)});
  Scan scan = exact.to(at::kFloat);
  CHECK(relative_error(y_of(scan, scan.tensors), y_of(exact, exact.tensors)) < 1e-6);
  const Tensors grads = y_gradients(scan, y_of), expected = y_gradients(exact, y_of);
  for (std::size_t k = 0; k < grads.size(); ++k) {
    CAPTURE(k);
    CHECK(relative_error(grads[k], expected[k]) < 1e-5);
  }
}

TEST_CASE("selective_scan orders: more than 65536 channels", "[selective_scan]") {
  const Scan exact = make_scan(1, 20, 65600, 2), scan = exact.to(at::kFloat);
  CHECK(relative_error(y_of(scan, scan.tensors), y_of(exact, exact.tensors)) < 1e-6);
  const Tensors grads = y_gradients(scan, y_of), expected = y_gradients(exact, y_of);
  for (std::size_t k = 0; k < grads.size(); ++k) CHECK(relative_error(grads[k], expected[k]) < 5e-6);
}

TEST_CASE("selective_scan orders: errors name the argument", "[selective_scan]") {
  const Scan scan = make_scan(1, 8, 4, 3, 31);
  using Catch::Matchers::Contains;
  const auto with = [&](const at::Tensor& orders) {
    Scan other = scan;
    other.orders = orders;
    return other.call(selective_scan_with_state, scan.tensors);
  };
  CHECK_THROWS_WITH(with(natural_order(8).to(torch::kLong)), Contains("orders must be int32"));
  CHECK_THROWS_WITH(with(natural_order(9)), Contains("orders must be [K, L] with K >= 1 and L = 8, has shape [1, 9]"));
  CHECK_THROWS_WITH(with(natural_order(8)[0]), Contains("orders must be [K, L]"));
  CHECK_THROWS_WITH(with(torch::empty({0, 8}, torch::kInt)), Contains("K >= 1"));
  CHECK_THROWS_WITH(with(natural_order(8).to(at::kMeta)), Contains("orders must be on the device of u"));
  CHECK_THROWS_WITH(with(torch::zeros({1, 8}, torch::kInt)), Contains("orders[0] must be a permutation of 0 ... 7, has 0 twice"));
  CHECK_THROWS_WITH(with(natural_order(8) - 1), Contains("has -1"));
  CHECK_THROWS_WITH(with(natural_order(8).repeat({2, 1})), Contains("initial_state needs one order, got 2"));
  Scan several = make_scan(1, 8, 4, 3);
  several.orders = natural_order(8).repeat({2, 1});
  CHECK_THROWS_WITH(several.call(selective_scan_with_state, several.tensors), Contains("orders must be one order, got 2"));
  Tensors t = scan.tensors;
  t.back() = t.back().transpose(1, 2);
  CHECK_THROWS_WITH(scan.call(selective_scan_with_state, t), Contains("initial_state must be [B, D, N] = [1, 4, 3]"));
  const Scan wide = make_scan(1, 2, 3, 257);
  CHECK_THROWS_WITH(y_of(wide, wide.tensors), Contains("A must have 1 to 256 states, has 257"));
}
