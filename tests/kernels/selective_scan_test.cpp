#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "tests/kernels/scan_arguments.h"

using namespace m3d;
using namespace m3d::test;

TEST_CASE("selective_scan: the operator records", "[selective_scan]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  const auto record = load_record("selective_scan");
  for (const auto& entry : record.at("cases")) {
    const std::string id = entry.at("id");
    CAPTURE(id);
    const auto has = [&](const char* key) { return entry.at(key).get<bool>(); };
    Scan scan{{}, has("has_D"), has("has_z"), has("has_delta_bias"), has("delta_softplus")};
    std::vector<std::string> names{"u", "delta", "A", "B", "C"};
    if (scan.has_D) names.push_back("D");
    if (scan.has_z) names.push_back("z");
    if (scan.has_bias) names.push_back("delta_bias");
    const auto tokens_last = [](const at::Tensor& t) { return t.dim() == 3 ? t.transpose(1, 2) : t; };  // recorded so
    for (const std::string& name : names) scan.tensors.push_back(tokens_last(recorded(entry.at("inputs").at(name))));

    const auto [y, state] = scan.call(selective_scan_with_state, scan.tensors);
    CHECK(relative_error(y.transpose(1, 2), recorded(entry.at("outputs").at("out"))) < 1e-9);
    CHECK(relative_error(state, recorded(entry.at("outputs").at("last_state"))) < 1e-9);
    const auto loss = [&](const Tensors& t) {
      const auto [out, last] = scan.call(selective_scan_with_state, t);
      const at::Tensor weights = fill(id + ".w", {out.size(0), out.size(2), out.size(1)});
      return (out.transpose(1, 2) * weights).sum() + (last * fill(id + ".w_state", last.sizes())).sum();
    };
    CHECK(std::abs(loss(scan.tensors).item<double>() - entry.at("loss").get<double>()) < 1e-9);
    const Tensors grads = gradients(loss, scan.tensors);
    for (std::size_t k = 0; k < names.size(); ++k) {
      CAPTURE(names[k]);
      CHECK(relative_error(tokens_last(grads[k]), recorded(entry.at("gradients").at(names[k]))) <
            (names[k] == "A" && entry.at("length") == 1 ? 1e-12 : 1e-9));
    }
  }
}

TEST_CASE("selective_scan: gradients against finite differences, every combination of options", "[selective_scan]") {
  for (int options = 0; options < 32; ++options) {
    CAPTURE(options);
    const Scan scan = make_scan(2, 18, 2, 3, options);
    CHECK(gradient_error([&](const Tensors& t) { return scan.loss(selective_scan_with_state, t); }, scan.tensors) <
          2e-8);
  }
}

TEST_CASE("selective_scan: equals the sequential form for any length, channels and states", "[selective_scan]") {
  struct Shape {
    std::int64_t batch, length, channels, states;
  };
  for (const Shape s : {Shape{1, 1, 16, 16}, Shape{2, 2, 20, 5}, Shape{1, 15, 33, 16}, Shape{2, 16, 40, 1},
                        Shape{1, 17, 96, 16}, Shape{3, 33, 1, 20}, Shape{1, 50, 130, 7}, Shape{1, 5, 18, 256}})
    for (const int options : {0, 31}) {
      const Scan scan = make_scan(s.batch, s.length, s.channels, s.states, options);
      const auto [expected_y, expected_state] = scan.call(selective_scan_reference, scan.tensors);
      const Tensors expected = scan.gradients_of(selective_scan_reference);
      for (const InstructionSet set : all_instruction_sets) {
        CAPTURE(s.batch, s.length, s.channels, s.states, options, static_cast<int>(set));
        const UseInstructionSet use(set);
        const auto [y, state] = scan.call(selective_scan_with_state, scan.tensors);
        CHECK(relative_error(y, expected_y) < 1e-12);
        CHECK(relative_error(state, expected_state) < 1e-12);
        const Tensors grads = scan.gradients_of(selective_scan_with_state);
        for (std::size_t k = 0; k < grads.size(); ++k) CHECK(relative_error(grads[k], expected[k]) < 1e-11);
      }
    }
}

TEST_CASE("selective_scan: no tokens, no batches", "[selective_scan]") {
  for (const std::int64_t batch : {0, 1}) {
    const Scan scan = make_scan(batch, 1 - batch, 3, 4);
    const auto [y, state] = scan.call(selective_scan_with_state, scan.tensors);
    CHECK(y.sizes() == scan.tensors[0].sizes());
    CHECK(torch::equal(state, torch::zeros_like(state)));
    for (const at::Tensor& grad : scan.gradients_of(selective_scan_with_state))
      CHECK(torch::equal(grad, torch::zeros_like(grad)));
  }
}

TEST_CASE("selective_scan: float32 against float64, bits independent of threads, L=32768 D=96", "[selective_scan]") {
  const Scan exact = make_scan(1, 32768, 96, 16), scan = exact.to(at::kFloat);
  const auto forward = [](const Scan& s) { return std::get<0>(s.call(selective_scan_with_state, s.tensors)); };
  const at::Tensor y = forward(scan);
  CHECK(relative_error(y, forward(exact)) < 1e-6);
  const Tensors grads = scan.gradients_of(selective_scan_with_state);
  const Tensors expected = exact.gradients_of(selective_scan_with_state);
  for (std::size_t k = 0; k < grads.size(); ++k) {
    CAPTURE(k);
    CHECK(relative_error(grads[k], expected[k]) < 5e-6);
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  CHECK(torch::equal(y, forward(scan)));
  require_equal_bits(grads, scan.gradients_of(selective_scan_with_state));
  at::set_num_threads(threads);
}

TEST_CASE("selective_scan: the memory of a state that decays very slowly is not biased", "[selective_scan]") {
  const std::int64_t length = 262144;
  const auto run = [&](at::ScalarType type) {
    const auto options = torch::TensorOptions(type);
    const at::Tensor delta = 1e-3 * (1 + 0.5 * fill("delta", {1, length, 1})).to(type);  // roundings are independent
    return selective_scan(torch::ones({1, length, 1}, options), delta, torch::full({1, 16}, -0.0625, options),
                          torch::ones({1, length, 16}, options), torch::ones({1, length, 16}, options));
  };
  // Decays near 0.99994: a bias of 1e-7 in the exponential would be 1.6e-3 here.
  CHECK(relative_error(run(at::kFloat), run(at::kDouble)) < 1e-4);
}

TEST_CASE("selective_scan: decays of every size, on every instruction set", "[selective_scan]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  const std::int64_t length = 4096, channels = 40;
  // Both from the same rounded values.
  const auto values = [&](const char* name, at::IntArrayRef shape) { return fill(name, shape).to(at::kFloat); };
  const at::Tensor u = values("u", {1, length, channels}), B = values("B", {1, length, 16});
  const at::Tensor C = values("C", {1, length, 16}), delta = (4 * values("delta", {1, length, channels})).exp();
  // Rates from 1e-6 to 1e4 a unit of time, steps from 0.02 to 50: decays from 1 - 2e-8 to zero.
  const at::Tensor A = -torch::logspace(-6, 4, 16, 10.0, at::kFloat).repeat({channels, 1});
  const auto run = [&](at::ScalarType type) {
    return selective_scan(u.to(type), delta.to(type), A.to(type), B.to(type), C.to(type));
  };
  CHECK(relative_error(run(at::kFloat), run(at::kDouble)) < 6e-6);  // 1.4e-6 to 4.1e-6: sums over long memories
}

TEST_CASE("selective_scan: 262144 tokens in memory linear in the tokens", "[selective_scan]") {
  const auto peak = [](std::int64_t length) {
    const Scan scan = make_scan(1, length, 32, 16).to(at::kFloat);
    return peak_tensor_bytes([&] {
      Tensors leaves = scan.tensors;
      for (at::Tensor& leaf : leaves) leaf.requires_grad_(true);
      const at::Tensor y = std::get<0>(scan.call(selective_scan_with_state, leaves));
      CHECK(std::isfinite(y.sum().item<double>()));
      const Tensors grads = torch::autograd::grad({y}, leaves, {torch::ones_like(y)});
      CHECK(std::isfinite(grads[1].sum().item<double>()));
    });
  };
  const std::int64_t bytes = peak(262144);
  CHECK(bytes > 262144 * 32 * 4);
  CHECK(bytes < 10 * 262144 * 32 * 4);  // in tensors of the size of u; [B, L, D, N] alone would be 16
  CHECK(bytes < 2.2 * static_cast<double>(peak(131072)));
}

TEST_CASE("selective_scan: peak memory of forward and backward", "[selective_scan]") {
  const auto bytes = [](const Tensors& tensors) {
    std::int64_t sum = 0;
    for (const at::Tensor& tensor : tensors) sum += static_cast<std::int64_t>(tensor.nbytes());
    return sum;
  };
  for (const int options : {13, 15}) {  // without and with z
    const Scan scan = make_scan(1, 32768, 96, 16, options).to(at::kFloat);
    Tensors leaves = scan.tensors;
    for (at::Tensor& leaf : leaves) leaf.requires_grad_(true);
    const at::Tensor grad = torch::ones_like(leaves[0]);
    std::int64_t outputs = 0;
    const std::int64_t peak = peak_tensor_bytes([&] {
      const at::Tensor y = y_of(scan, leaves);
      outputs = bytes({y}) + bytes(torch::autograd::grad({y}, leaves, {grad}));
    });
    const std::int64_t inputs = bytes(leaves) + bytes({grad});
    CHECK(static_cast<double>(inputs + peak) < 1.5 * static_cast<double>(inputs + outputs));
  }
}

TEST_CASE("selective_scan: tensors that are not contiguous, and outputs used in part", "[selective_scan]") {
  const Scan scan = make_scan(2, 21, 20, 5);
  const at::Tensor both = torch::cat({scan.tensors[0], scan.tensors[6]}, 2);  // as in_proj leaves x and z
  Scan strided = scan;
  strided.tensors[0] = both.narrow(2, 0, 20);
  strided.tensors[6] = both.narrow(2, 20, 20);
  strided.tensors[1] = scan.tensors[1].transpose(1, 2).contiguous().transpose(1, 2);
  strided.tensors[2] = scan.tensors[2].t().contiguous().t();
  const auto [y, state] = strided.call(selective_scan_with_state, strided.tensors);
  const auto [expected, expected_state] = scan.call(selective_scan_with_state, scan.tensors);
  CHECK(torch::equal(y, expected));
  CHECK(torch::equal(state, expected_state));
  const Scan small = make_scan(1, 18, 2, 3, 0);
  const auto y_only = [](const Tensors& t) { return selective_scan(t[0], t[1], t[2], t[3], t[4]).sum(); };
  const auto state_only = [](const Tensors& t) {
    return std::get<1>(selective_scan_with_state(t[0], t[1], t[2], t[3], t[4])).sum();
  };
  CHECK(gradient_error(y_only, small.tensors) < 2e-8);
  // C does not enter the state.
  const auto with_C = [&](const Tensors& t) { return state_only(t) + t[4].sum(); };
  CHECK(gradient_error(with_C, small.tensors) < 2e-8);
}

TEST_CASE("selective_scan: NaN is passed on, extreme decays are not NaN", "[selective_scan]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  Scan scan = make_scan(1, 40, 3, 16, 0).to(at::kFloat);
  for (const std::size_t which : {0, 1, 2}) {
    Scan broken = scan;
    broken.tensors[which] = broken.tensors[which].clone();
    broken.tensors[which].view({-1})[0] = std::nan("");
    CHECK(std::get<0>(broken.call(selective_scan_with_state, broken.tensors)).isnan().any().item<bool>());
  }
  scan.tensors[1] = scan.tensors[1] * 1e4;  // decays of exp(-80000)
  for (const at::Tensor& grad : scan.gradients_of(selective_scan_with_state)) CHECK(grad.isfinite().all().item<bool>());
}

TEST_CASE("selective_scan: the dispatcher sees one call, on meta tensors too", "[selective_scan]") {
  const Scan real = make_scan(1, 8, 4, 16);
  for (const bool meta : {false, true})
    for (const bool grad : {false, true}) {
      CAPTURE(meta, grad);
      Tensors t;
      for (const at::Tensor& tensor : real.tensors)
        t.push_back((meta ? tensor.to(at::kMeta) : tensor.clone()).requires_grad_(grad));
      at::AutoGradMode mode(grad);
      const auto names = dispatched([&] {
        const at::Tensor y = selective_scan(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], true);
        CHECK(y.sizes() == t[0].sizes());
        CHECK(y.is_meta() == meta);
      });
      CHECK(std::count(names.begin(), names.end(), "m3d::selective_scan") == 1);
    }
}

TEST_CASE("selective_scan: errors name the argument", "[selective_scan]") {
  const Tensors t = make_scan(2, 8, 4, 3).tensors;
  using Catch::Matchers::Contains;
  const auto call = [&](std::size_t which, const at::Tensor& wrong) {
    Tensors a = t;
    a[which] = wrong;
    return selective_scan(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], true);
  };
  CHECK_THROWS_WITH(call(0, t[0][0]), Contains("selective_scan: u must have 3 dimensions"));
  CHECK_THROWS_WITH(call(0, t[0].to(at::kLong)), Contains("u must be float32, float64, bfloat16 or float16"));
  CHECK_THROWS_WITH(call(1, t[1].to(at::kFloat)), Contains("delta must have the dtype of u"));
  CHECK_THROWS_WITH(call(1, t[1].to(at::kMeta)), Contains("delta must be on the device of u"));
  CHECK_THROWS_WITH(call(2, t[2].t()), Contains("A must be [D, N] = [4, 4]"));
  CHECK_THROWS_WITH(call(3, t[3].transpose(1, 2)), Contains("B must be [B, L, N] = [2, 8, 3]"));
  CHECK_THROWS_WITH(call(4, t[0]), Contains("C must be [B, L, N]"));
  CHECK_THROWS_WITH(call(5, t[2]), Contains("D must be [D] = [4]"));
  CHECK_THROWS_WITH(call(6, t[3]), Contains("z must be [B, L, D]"));
  CHECK_THROWS_WITH(call(7, t[5].narrow(0, 0, 2)), Contains("delta_bias must be [D]"));
}
