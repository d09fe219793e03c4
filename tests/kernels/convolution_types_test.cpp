// bfloat16 and float16 tokens and voxels: stored in 16 bits, computed in float32.
#include <cmath>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/depthwise_conv3d/depthwise_conv3d.h"
#include "tests/catch.h"
#include "tests/kernels/gradcheck.h"

using namespace m3d;
using namespace m3d::test;

namespace {

/// One rounding of the result's largest value.
double rounding(at::ScalarType type) { return type == at::kBFloat16 ? std::ldexp(1, -8) : std::ldexp(1, -11); }

struct Convolution {
  const char* name;
  Tensors inputs;  // float64; x first, then parameters
  std::function<at::Tensor(const Tensors&)> run;
};

std::vector<Convolution> convolutions(std::int64_t channels) {
  return {{"causal_conv1d",
           {fill("x", {2, 37, channels}), fill("weight", {channels, 4}), fill("bias", {channels})},
           [](const Tensors& t) { return causal_conv1d(t[0], t[1], t[2], true); }},
          {"depthwise_conv3d",
           {fill("x", {1, 5, 6, 9, channels}), fill("weight", {channels, 1, 3, 5, 3}), fill("bias", {channels})},
           [](const Tensors& t) { return depthwise_conv3d(t[0], t[1], t[2], true); }},
          {"depthwise_conv3d_multiscale",
           {fill("x", {1, 5, 6, 9, channels}), fill("weight", {channels, 1, 3, 3, 3}),
            fill("wide", {channels, 1, 5, 5, 5}), fill("bias", {channels})},
           [](const Tensors& t) { return depthwise_conv3d_multiscale(t[0], {t[1], t[2]}, {t[3], {}}, true); }}};
}

at::Tensor weighted_sum(const at::Tensor& y) {
  return (y.to(at::kDouble) * fill("weights", y.sizes()).to(at::kBFloat16).to(at::kDouble)).sum();
}

}  // namespace

TEST_CASE("convolutions of 16-bit tensors are those of the same values in float64, rounded once", "[types]") {
  for (const auto type : {at::kBFloat16, at::kHalf})
    for (const std::int64_t channels : {20, 32})
      for (const Convolution& convolution : convolutions(channels))
        for (const InstructionSet set : all_instruction_sets) {
          CAPTURE(convolution.name, type, channels, static_cast<int>(set));
          const UseInstructionSet use(set);
          // x in 16 bits, parameters in float32 or 16 bits; the exact ones have the same values.
          Tensors stored = convolution.inputs, exact;
          stored[0] = stored[0].to(type);
          for (std::size_t k = 1; k < stored.size(); ++k) stored[k] = stored[k].to(type).to(k == 1 ? type : at::kFloat);
          for (const at::Tensor& tensor : stored) exact.push_back(tensor.to(at::kDouble));
          const at::Tensor y = convolution.run(stored);
          REQUIRE(y.scalar_type() == type);
          CHECK(relative_error(y, convolution.run(exact)) < rounding(type));
          const auto loss = [&](const Tensors& t) { return weighted_sum(convolution.run(t)); };
          const Tensors grads = gradients(loss, stored), expected = gradients(loss, exact);
          for (std::size_t k = 0; k < grads.size(); ++k) {
            CHECK(grads[k].scalar_type() == stored[k].scalar_type());
            CHECK(relative_error(grads[k], expected[k]) < 2 * rounding(type));  // SiLU's argument is stored, too
          }
        }
}

TEST_CASE("16-bit convolutions stay finite where float32 does", "[types]") {
  const at::Tensor x = (1e4 * fill("x", {1, 64, 16})).to(at::kBFloat16);
  const at::Tensor weight = (100 * fill("weight", {16, 4})).to(at::kFloat);
  CHECK(causal_conv1d(x, weight, {}, true).isfinite().all().item<bool>());
  const at::Tensor volume = x.view({1, 4, 4, 4, 16}), kernel = (100 * fill("kernel", {16, 1, 3, 3, 3})).to(at::kFloat);
  CHECK(depthwise_conv3d(volume, kernel, {}, true).isfinite().all().item<bool>());
}
