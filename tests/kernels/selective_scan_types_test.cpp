// 16-bit storage with float32 accumulation. Errors are taken against float64 runs of the same rounded inputs, so that what
// remains is the rounding of what is stored.
#include <torch/torch.h>

#include <cmath>

#include "tests/kernels/scan_arguments.h"

using namespace m3d;
using namespace m3d::test;

namespace {

const std::vector<at::ScalarType> half_types{at::kBFloat16, at::kHalf};

/// Half a unit in the last place of a number, relative to it, at most.
double rounding(at::ScalarType type) { return type == at::kBFloat16 ? std::ldexp(1, -8) : std::ldexp(1, -11); }

Scan rounded(const Scan& scan, at::ScalarType type) { return scan.to(type).to(at::kDouble); }

}  // namespace

TEST_CASE("selective_scan 16-bit types: only what is stored is rounded", "[selective_scan]") {
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  for (const auto type : half_types)
    for (const bool several : {false, true})
      for (const std::int64_t channels : {16, 37}) {
        CAPTURE(type, several, channels);
        Scan scan = make_scan(2, 70, channels, 7, several ? 15 : 31).to(type);
        if (several) scan.orders = torch::cat({random_order(70), reversed_order(70), natural_order(70)});
        const Scan exact = rounded(scan, type);
        const at::Tensor y = y_of(scan, scan.tensors);
        CHECK(y.scalar_type() == type);
        CHECK(relative_error(y, y_of(exact, exact.tensors)) < 1.01 * rounding(type));
        const Tensors grads = y_gradients(scan, y_of);
        const Tensors expected = gradients(
            [&](const Tensors& t) {  // the same weights as those of the 16-bit loss
              const at::Tensor out = y_of(exact, t);
              return (out * fill("weights", out.sizes()).to(type).to(at::kDouble)).sum();
            },
            exact.tensors);
        for (std::size_t k = 0; k < grads.size(); ++k) {
          CAPTURE(k);
          CHECK(grads[k].scalar_type() == scan.tensors[k].scalar_type());
          const bool stored = grads[k].scalar_type() == type;
          CHECK(relative_error(grads[k], expected[k]) < (stored ? 1.01 * rounding(type) : 1e-5));
        }
      }
}

TEST_CASE("selective_scan 16-bit types: states to 1e6 stay finite where float32 does", "[selective_scan]") {
  // h grows to dt B u / (1 - exp(dt A)): about 2e6, far beyond what float16 holds; C brings y back into its range.
  const std::int64_t length = 4096;
  for (const auto type : half_types) {
    CAPTURE(type);
    const auto make = [&](at::ScalarType t) {
      const auto tokens = torch::TensorOptions(t);
      const auto parameters = torch::TensorOptions(t == at::kDouble ? at::kDouble : at::kFloat);
      Scan scan{{torch::full({1, length, 20}, 2048.0, tokens), torch::full({1, length, 20}, 1.0, tokens),
                 torch::full({20, 16}, -1.0 / 1024, parameters), torch::ones({1, length, 16}, tokens),
                 torch::full({1, length, 16}, std::ldexp(1, -14), tokens)}};
      return scan;
    };
    const Scan scan = make(type), exact = make(at::kDouble);
    const auto [y, state] = scan.call(selective_scan_with_state, scan.tensors);
    const auto [expected, expected_state] = exact.call(selective_scan_with_state, exact.tensors);
    CHECK(state.scalar_type() == at::kFloat);
    CHECK(state.max().item<double>() > 1e6);
    CHECK(relative_error(state, expected_state) < 1e-5);
    CHECK(relative_error(y, expected) < 1.1 * rounding(type));
    const Scan single = make(at::kFloat);
    const Tensors wide = y_gradients(single, y_of), grads = y_gradients(scan, y_of);
    for (std::size_t k = 0; k < grads.size(); ++k) {
      CAPTURE(k);
      const bool fits = wide[k].abs().max().item<double>() < 6e4 || grads[k].scalar_type() != at::kHalf;
      CHECK(wide[k].isfinite().all().item<bool>());
      if (fits) CHECK(grads[k].isfinite().all().item<bool>());
    }
  }
}

TEST_CASE("selective_scan 16-bit types: every value survives, infinities and NaN included", "[selective_scan]") {
  // With C = 0 and D = 1 the scan copies u: all 65536 patterns through load and store.
  const UseInstructionSet use(GENERATE(from_range(all_instruction_sets)));
  for (const auto type : half_types) {
    CAPTURE(type);
    const at::Tensor u = torch::arange(-32768, 32768, torch::kInt).to(torch::kShort).view(type).view({1, 2048, 32});
    const at::Tensor finite = torch::where(u.isfinite(), u, torch::zeros_like(u));
    const at::Tensor zeros = torch::zeros({1, 2048, 1}, type), delta = torch::zeros_like(u);
    const at::Tensor A = -torch::ones({32, 1}), D = torch::ones({32});
    CHECK(torch::equal(selective_scan(finite, delta, A, zeros, zeros, D), finite));
    const at::Tensor y = selective_scan(u, delta, A, zeros, zeros, D);
    CHECK(torch::equal(y.isnan(), u.isnan().cumsum(1).to(torch::kBool) | u.isinf().cumsum(1).to(torch::kBool)));
  }
}

TEST_CASE("selective_scan 16-bit types: parameters in either dtype, differentiably", "[selective_scan]") {
  const Scan scan = make_scan(1, 9, 20, 3, 31).to(at::kBFloat16);
  Tensors narrow = scan.tensors;
  for (at::Tensor& tensor : narrow) tensor = tensor.to(at::kBFloat16);
  Tensors wide = narrow;
  for (std::size_t k = 0; k < wide.size(); ++k) wide[k] = narrow[k].to(scan.tensors[k].scalar_type());
  const auto loss = [&](const Tensors& t) { return y_of(scan, t).to(at::kFloat).sum(); };
  CHECK(torch::equal(y_of(scan, narrow), y_of(scan, wide)));
  const Tensors narrow_grads = gradients(loss, narrow), wide_grads = gradients(loss, wide);
  for (std::size_t k = 0; k < narrow.size(); ++k)
    CHECK(torch::equal(narrow_grads[k], wide_grads[k].to(at::kBFloat16)));
}
