// The selective scan on CPU: allocation, choice of the loops, division of the work. A piece of work is a batch and a
// unit of a few groups of channels, whatever the number of threads; hence the same bits.
#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>

#include "kernels/checks.h"
#include "kernels/parallel.h"
#include "kernels/selective_scan/selective_scan_loops.h"
#include "kernels/selective_scan/selective_scan_operators.h"
#include "kernels/simd/choose.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::selective_scan_operators {
namespace {

using namespace selective_scan_loops;

template <class T>
const Loops<T>& loops() {
  return M3D_CHOOSE(table, T);
}

/// The tensors of a call with dense rows (B, C, u, …) or contiguous (A, D, delta_bias), alive while loops run.
struct Arguments {
  Arguments(const at::Tensor& u_, const at::Tensor& delta_, const at::Tensor& A_, const at::Tensor& B_,
            const at::Tensor& C_, const OptionalTensor& D_, const OptionalTensor& z_, const OptionalTensor& delta_bias_,
            bool softplus_)
      : u(with_dense_rows(u_)),
        delta(with_dense_rows(delta_)),
        A(A_.contiguous()),
        B(with_dense_rows(B_)),
        C(with_dense_rows(C_)) {
    if (D_) D = D_->contiguous();
    if (z_) z = with_dense_rows(*z_);
    if (delta_bias_) delta_bias = delta_bias_->contiguous();
    softplus = softplus_;
  }
  at::Tensor u, delta, A, B, C, D, z, delta_bias;
  bool softplus;
};

/// An even number of units: balanced on two threads, and few parts to add.
std::int64_t units_of(std::int64_t channels, int lanes) {
  const std::int64_t groups = (channels + lanes - 1) / lanes;
  const std::int64_t pairs = (groups + 2 * kGroupsPerUnit - 1) / (2 * kGroupsPerUnit);
  return std::max<std::int64_t>(1, std::min(groups, 2 * pairs));
}

template <class T>
Inputs<T> inputs(const Arguments& in) {
  return {.batch = in.u.size(0),
          .length = in.u.size(1),
          .channels = in.u.size(2),
          .states = in.A.size(1),
          .units = units_of(in.u.size(2), loops<T>().lanes),
          .delta_softplus = in.softplus,
          .u = tokens_of<const T>(in.u),
          .delta = tokens_of<const T>(in.delta),
          .B = tokens_of<const T>(in.B),
          .C = tokens_of<const T>(in.C),
          .z = tokens_of<const T>(in.z),
          .A = values_of<T>(in.A),
          .D = values_of<T>(in.D),
          .delta_bias = values_of<T>(in.delta_bias)};
}

/// piece(batch, unit, scratch) for every unit of every batch, on all threads.
template <class T, class Piece>
void for_each_unit(const Inputs<T>& in, const at::TensorOptions& options, const Piece& piece) {
  const std::int64_t work = in.length * in.states * loops<T>().lanes * kGroupsPerUnit * 8;
  for_each_piece(in.batch * in.units, work, [&](std::int64_t begin, std::int64_t end) {
    const at::Tensor scratch = at::empty({loops<T>().scratch_size(in.states)}, options);
    for (std::int64_t i = begin; i < end; ++i) piece(i / in.units, i % in.units, scratch.data_ptr<T>());
  });
}

ForwardResult forward_cpu(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                          const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                          const OptionalTensor& delta_bias, bool delta_softplus, bool keep_states) {
  const Arguments arguments(u, delta, A, B, C, D, z, delta_bias, delta_softplus);
  const at::Tensor y = at::empty(u.sizes(), u.options());
  const at::Tensor last_state = at::empty({u.size(0), u.size(2), A.size(1)}, u.options());
  at::Tensor kept = at::empty({0}, u.options());
  AT_DISPATCH_FLOATING_TYPES(u.scalar_type(), "selective_scan", [&] {
    Forward<scalar_t> scan{inputs<scalar_t>(arguments), tokens_of<scalar_t>(y), last_state.data_ptr<scalar_t>(),
                           nullptr};
    if (keep_states) {
      kept = at::empty({scan.batch, scan.chunks(), scan.states, scan.channels}, u.options());
      scan.checkpoints = kept.data_ptr<scalar_t>();
    }
    for_each_unit<scalar_t>(scan, u.options(), [&](auto batch, auto unit, scalar_t* scratch) {
      loops<scalar_t>().forward(scan, batch, unit, scratch);
    });
  });
  return {y, last_state, kept};
}

BackwardResult backward_cpu(const at::Tensor& grad_y, const OptionalTensor& grad_last_state, const at::Tensor& u,
                            const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
                            const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias,
                            bool delta_softplus, const at::Tensor& kept_states) {
  const Arguments arguments(u, delta, A, B, C, D, z, delta_bias, delta_softplus);
  const at::Tensor dy = with_dense_rows(grad_y);
  const at::Tensor dstate = grad_last_state ? grad_last_state->contiguous() : at::Tensor();
  const auto options = u.options();
  const std::int64_t batch = u.size(0), channels = u.size(2), states = A.size(1);
  const at::Tensor grad_u = at::empty(u.sizes(), options), grad_delta = at::empty(u.sizes(), options);
  const at::Tensor grad_z = z ? at::empty(u.sizes(), options) : at::empty({0, 0, 0}, options);
  const at::Tensor A_parts = empty_parts(batch, {channels, states}, options);
  const at::Tensor D_parts = empty_parts(batch, {channels}, options);
  const at::Tensor bias_parts = empty_parts(batch, {channels}, options);
  at::Tensor BC_parts;
  AT_DISPATCH_FLOATING_TYPES(u.scalar_type(), "selective_scan_backward", [&] {
    const Inputs<scalar_t> in = inputs<scalar_t>(arguments);
    BC_parts = at::empty({batch, in.units, 2, in.length, states}, options);
    const Backward<scalar_t> scan{in,
                                  values_of<scalar_t>(kept_states),
                                  tokens_of<const scalar_t>(dy),
                                  values_of<scalar_t>(dstate),
                                  tokens_of<scalar_t>(grad_u),
                                  tokens_of<scalar_t>(grad_delta),
                                  tokens_of<scalar_t>(grad_z),
                                  A_parts.data_ptr<scalar_t>(),
                                  D_parts.data_ptr<scalar_t>(),
                                  bias_parts.data_ptr<scalar_t>(),
                                  BC_parts.data_ptr<scalar_t>()};
    for_each_unit<scalar_t>(
        in, options, [&](auto b, auto unit, scalar_t* scratch) { loops<scalar_t>().backward(scan, b, unit, scratch); });
  });
  return {grad_u,
          grad_delta,
          sum_in_order(A_parts, 0),
          sum_in_order(BC_parts.select(2, 0), 1),
          sum_in_order(BC_parts.select(2, 1), 1),
          sum_in_order(D_parts, 0),
          grad_z,
          sum_in_order(bias_parts, 0)};
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("selective_scan_forward", forward_cpu);
  m.impl("selective_scan_backward", backward_cpu);
}

}  // namespace m3d::selective_scan_operators
