// The selective scan on CUDA: allocation, and the order in which scans and segments run. Nothing waits for the device.
#include "kernels/selective_scan/selective_scan_cuda.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <limits>

#include "kernels/checks.h"
#include "kernels/cuda/call.h"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/sum_parts.h"
#include "kernels/selective_scan/selective_scan_operators.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::selective_scan_operators {
namespace {

using namespace selective_scan_cuda;
using cuda::Call;
using cuda::pointer_to;

/// The tensors of a call with dense rows (B, C, u, …) or contiguous (A, D, …), alive until the kernels are launched.
struct Arguments {
  Arguments(const at::Tensor& u_, const at::Tensor& delta_, const at::Tensor& A_, const at::Tensor& B_,
            const at::Tensor& C_, const OptionalTensor& D_, const OptionalTensor& z_, const OptionalTensor& delta_bias_,
            bool delta_softplus_, const OptionalTensor& orders_)
      : u(with_dense_rows(u_)),
        delta(with_dense_rows(delta_)),
        A(A_.contiguous()),
        B(with_dense_rows(B_)),
        C(with_dense_rows(C_)),
        delta_softplus(delta_softplus_) {
    if (D_) D = D_->contiguous();
    if (z_) z = with_dense_rows(*z_);
    if (delta_bias_) delta_bias = delta_bias_->contiguous();
    if (orders_) orders = orders_->contiguous();
    TORCH_CHECK(states() <= kMaxStates, "selective_scan: A must have at most ", kMaxStates, " states on CUDA, has ",
                states());
    TORCH_CHECK(length() <= std::numeric_limits<std::int32_t>::max(), "selective_scan: u has ", length(),
                " tokens, more than a 32-bit index holds");
  }

  std::int64_t batch() const { return u.size(0); }
  std::int64_t length() const { return u.size(1); }
  std::int64_t channels() const { return u.size(2); }
  std::int64_t states() const { return A.size(1); }
  std::int64_t scans() const { return orders.defined() ? orders.size(0) : 1; }
  at::TensorOptions sums() const { return u.options().dtype(accumulation_dtype(u.scalar_type())); }
  at::Tensor no_states() const { return at::zeros({batch(), states(), channels()}, sums()); }

  template <class T>
  Inputs<T> inputs(std::int64_t scan) const {
    return {batch(),
            length(),
            channels(),
            static_cast<int>(states()),
            delta_softplus,
            tokens_of<const T>(u),
            tokens_of<const T>(delta),
            tokens_of<const T>(B),
            tokens_of<const T>(C),
            tokens_of<const T>(z),
            values_of<Sums<T>>(A),
            values_of<Sums<T>>(D),
            values_of<Sums<T>>(delta_bias),
            orders.defined() ? orders.const_data_ptr<std::int32_t>() + scan * length() : nullptr};
  }

  at::Tensor u, delta, A, B, C, D, z, delta_bias, orders;
  bool delta_softplus;
};

/// Room for the units of one segment.
struct UnitScratch {
  UnitScratch(const Arguments& in, const Segment& longest)
      : states(at::empty({in.batch(), longest.units(), in.states(), in.channels()}, in.sums())),
        times(at::empty({in.batch(), longest.units(), in.channels()}, in.sums())),
        sums(at::empty({in.batch(), longest.units(), 2, in.channels()}, in.sums())) {}
  at::Tensor states, times, sums;
};

/// A result that the scans of a call add to, and its running sum where there are several scans.
struct Result {
  Result(const Arguments& in, bool wanted) {
    if (!wanted) return;
    out = at::empty(in.u.sizes(), in.u.options());
    if (in.scans() == 1) return;
    sum = in.sums().dtype() == out.dtype() ? out : at::empty(in.u.sizes(), in.sums());
  }
  template <class T>
  Accumulated<T> of(std::int64_t scan, std::int64_t scans) const {
    return {pointer_to<T>(out), pointer_to<Sums<T>>(sum), scan == 0, scan == scans - 1};
  }
  at::Tensor out, sum;
};

/// [B, D, N] as the kernels hold states, [B, N, D], and back; always a copy.
at::Tensor transposed_states(const at::Tensor& states) {
  return states.transpose(1, 2).clone(at::MemoryFormat::Contiguous);
}

/// run(Segment) for the segments of a scan, the last one first if `reverse`.
template <class Run>
void for_each_segment(const Segment& first, std::int64_t length, bool reverse, const Run& run) {
  const std::int64_t step = first.end - first.begin, count = (length + step - 1) / step;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = (reverse ? count - 1 - i : i) * step;
    run(Segment{begin, std::min(begin + step, length), first.unit});
  }
}

ForwardResult forward_cuda(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                           const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                           const OptionalTensor& delta_bias, bool delta_softplus, const OptionalTensor& initial_state,
                           const OptionalTensor& orders, bool keep_states) {
  const Call call(u);
  const Arguments in(u, delta, A, B, C, D, z, delta_bias, delta_softplus, orders);
  at::Tensor carry = initial_state ? transposed_states(*initial_state) : in.no_states();
  const Result y(in, true);
  at::Tensor kept = at::empty({0}, in.sums());
  if (u.numel() == 0) return {y.out, transposed_states(carry), kept};
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, u.scalar_type(), "selective_scan", [&] {
    using Value = Sums<scalar_t>;
    const Segment first = first_segment<scalar_t>(in.batch(), in.length(), in.channels());
    const UnitScratch scratch(in, first);
    const std::int64_t chunks = in.inputs<scalar_t>(0).chunks();
    if (keep_states) kept = at::empty({in.scans(), in.batch(), chunks, in.states(), in.channels()}, in.sums());
    for (std::int64_t scan = 0; scan < in.scans(); ++scan) {
      if (scan > 0) carry.zero_();
      Value* const kept_of_scan = keep_states ? kept.select(0, scan).data_ptr<Value>() : nullptr;
      for_each_segment(first, in.length(), false, [&](const Segment& segment) {
        run_forward<scalar_t>(
            {in.inputs<scalar_t>(scan), segment, pointer_to<Value>(scratch.states), pointer_to<Value>(scratch.times),
             pointer_to<Value>(carry), kept_of_scan, y.of<scalar_t>(scan, in.scans())},
            call.stream());
      });
    }
  });
  return {y.out, transposed_states(carry), kept};
}

std::int64_t count_BC_parts(const Arguments& in) {
  return AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, in.u.scalar_type(), "selective_scan_backward",
                                         [&] { return BC_parts_count<scalar_t>(in.channels(), in.states()); });
}

/// The gradients that channels, tokens or batches share, while they are added up.
struct SharedGradients {
  SharedGradients(const Arguments& in, std::int64_t parts)
      : BC_parts(at::empty({parts, 2, in.batch(), in.length(), in.states()}, in.sums())),
        BC(at::empty({2, in.batch(), in.length(), in.states()}, in.u.options())),
        A(at::zeros({in.states(), in.channels()}, in.sums())),
        D(at::zeros({2, in.channels()}, in.sums())) {}
  at::Tensor BC_parts, BC, A, D;
};

BackwardResult backward_cuda(const at::Tensor& grad_y_, const OptionalTensor& grad_last_state, const at::Tensor& u,
                             const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
                             const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias,
                             bool delta_softplus, const OptionalTensor&, const OptionalTensor& orders,
                             const at::Tensor& kept_states) {
  const Call call(u);
  const Arguments in(u, delta, A, B, C, D, z, delta_bias, delta_softplus, orders);
  const at::Tensor grad_y = with_dense_rows(grad_y_), kept = kept_states.contiguous();
  at::Tensor carry = grad_last_state ? transposed_states(*grad_last_state) : in.no_states();
  const Result grad_u(in, true), grad_delta(in, true), grad_z(in, z.has_value());
  const std::int64_t parts = u.numel() > 0 ? count_BC_parts(in) : 0;
  const SharedGradients shared(in, parts);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, u.scalar_type(), "selective_scan_backward", [&] {
    using Value = Sums<scalar_t>;
    const Segment first = first_segment<scalar_t>(in.batch(), in.length(), in.channels());
    const UnitScratch scratch(in, first);
    const auto run = [&](std::int64_t scan, const Segment& segment) {
      run_backward<scalar_t>(
          {in.inputs<scalar_t>(scan), segment, tokens_of<const scalar_t>(grad_y),
           kept.select(0, scan).const_data_ptr<Value>(), pointer_to<Value>(scratch.states),
           pointer_to<Value>(scratch.times), pointer_to<Value>(scratch.sums), pointer_to<Value>(carry), parts, scan > 0,
           pointer_to<Value>(shared.BC_parts), grad_u.of<scalar_t>(scan, in.scans()),
           grad_delta.of<scalar_t>(scan, in.scans()), grad_z.of<scalar_t>(scan, in.scans()),
           pointer_to<Value>(shared.A), pointer_to<Value>(shared.D)},
          call.stream());
    };
    for (std::int64_t scan = 0; scan < in.scans() && u.numel() > 0; ++scan) {
      if (scan > 0) carry.zero_();
      for_each_segment(first, in.length(), true, [&](const Segment& segment) { run(scan, segment); });
    }
    cuda::sum_parts<Value, scalar_t>(
        {pointer_to<Value>(shared.BC_parts), parts, shared.BC.numel(), false, pointer_to<scalar_t>(shared.BC)},
        call.stream());
  });
  return {grad_u.out,
          grad_delta.out,
          shared.A.t().contiguous(),
          shared.BC.select(0, 0),
          shared.BC.select(0, 1),
          shared.D.select(0, 0),
          z ? grad_z.out : at::empty({0}, u.options()),
          shared.D.select(0, 1),
          transposed_states(carry)};
}

}  // namespace

}  // namespace m3d::selective_scan_operators

void m3d::cuda::register_selective_scan(torch::Library& m) {
  m.impl("selective_scan_forward", selective_scan_operators::forward_cuda);
  m.impl("selective_scan_backward", selective_scan_operators::backward_cuda);
}
