#pragma once
// Arguments of selective scans for the tests.
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/selective_scan/selective_scan_reference.h"
#include "tests/catch.h"
#include "tests/kernels/gradcheck.h"

namespace m3d::test {

/// The arguments of a scan; those that are absent are not in `tensors`.
struct Scan {
  Tensors tensors;  // u, delta, A, B, C, then D, z, delta_bias, initial_state as far as present
  bool has_D = false, has_z = false, has_bias = false, softplus = false, has_state = false;
  OptionalTensor orders = std::nullopt;

  template <class Function>
  auto call(const Function& function, const Tensors& t) const {
    std::size_t next = 5;
    const auto take = [&](bool present) { return present ? OptionalTensor(t[next++]) : std::nullopt; };
    const OptionalTensor D = take(has_D), z = take(has_z), bias = take(has_bias), state = take(has_state);
    return function(t[0], t[1], t[2], t[3], t[4], D, z, bias, softplus, state, orders);
  }
  /// A loss that every output value enters with another weight.
  at::Tensor loss(decltype(selective_scan_reference) function, const Tensors& t) const {
    const auto [y, state] = call(function, t);
    return (y * fill("weights", y.sizes()).to(y.scalar_type())).sum() +
           (state * fill("state", state.sizes()).to(state.scalar_type())).sum();
  }
  Tensors gradients_of(decltype(selective_scan_reference) function) const {
    return gradients([&](const Tensors& t) { return loss(function, t); }, tensors);
  }
  /// Tokens in this type, parameters and states in that of the accumulation.
  Scan to(at::ScalarType type) const {
    Scan other = *this;
    for (std::size_t k = 0; k < tensors.size(); ++k) {
      const bool of_tokens = k < 5 ? k != 2 : has_z && k == (has_D ? 6U : 5U);
      const auto accumulation = type == at::kDouble ? at::kDouble : at::kFloat;
      other.tensors[k] = tensors[k].to(of_tokens ? type : accumulation);
    }
    return other;
  }
};

/// y alone, for several orders.
inline at::Tensor y_of(const Scan& scan, const Tensors& t) { return scan.call(selective_scan, t); }
inline at::Tensor reference_y_of(const Scan& scan, const Tensors& t) {
  return std::get<0>(scan.call(selective_scan_reference, t));
}

/// The gradients of y weighted.
template <class Function>
Tensors y_gradients(const Scan& scan, const Function& y) {
  return gradients(
      [&](const Tensors& t) {
        const at::Tensor out = y(scan, t);
        return (out * fill("weights", out.sizes()).to(out.scalar_type())).sum();
      },
      scan.tensors);
}

/// options: 1 D, 2 z, 4 delta_bias, 8 softplus, 16 initial_state.
inline Scan make_scan(std::int64_t batch, std::int64_t length, std::int64_t channels, std::int64_t states,
                      int options = 15) {
  Scan scan{{}, (options & 1) != 0, (options & 2) != 0, (options & 4) != 0, (options & 8) != 0, (options & 16) != 0};
  const at::Tensor delta = fill("delta", {batch, length, channels});
  scan.tensors = {fill("u", {batch, length, channels}), scan.softplus ? delta * 3 - 2 : delta * 0.4 + 0.5,
                  -0.2 - torch::arange(1, states + 1, torch::kDouble) + 0.1 * fill("A", {channels, states}),
                  fill("B", {batch, length, states}), fill("C", {batch, length, states})};
  if (scan.has_D) scan.tensors.push_back(1 + 0.1 * fill("D", {channels}));
  if (scan.has_z) scan.tensors.push_back(2 * fill("z", {batch, length, channels}));
  if (scan.has_bias) scan.tensors.push_back(0.1 * fill("bias", {channels}));
  if (scan.has_state) scan.tensors.push_back(fill("initial", {batch, channels, states}));
  return scan;
}

inline void require_equal_bits(const Tensors& a, const Tensors& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t k = 0; k < a.size(); ++k) CHECK(torch::equal(a[k], b[k]));
}

/// [1, L] each: natural, reversed, or shuffled by a fixed seed.
inline at::Tensor natural_order(std::int64_t length) { return torch::arange(length, torch::kInt).unsqueeze(0); }
inline at::Tensor reversed_order(std::int64_t length) { return natural_order(length).flip(1); }
inline at::Tensor random_order(std::int64_t length) { return fill("order", {length}).argsort().to(torch::kInt).unsqueeze(0); }
/// The tokens of a row-major grid with its axes permuted: "dwh" is {0, 2, 1}.
inline at::Tensor axis_order(at::IntArrayRef grid, at::IntArrayRef axes) {
  const std::int64_t length = grid[0] * grid[1] * grid[2];
  return natural_order(length).view(grid).permute(axes).reshape({1, length});
}

}  // namespace m3d::test
