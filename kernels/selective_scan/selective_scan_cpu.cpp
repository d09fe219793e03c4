// The selective scan on CPU: allocation, choice of the loops, division of the work. Forward, groups of channels do not
// depend on each other; backward, units of a few groups do not, whatever the number of threads: hence the same bits. A
// thread takes its groups or units together.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>

#include "kernels/checks.h"
#include "kernels/parallel.h"
#include "kernels/selective_scan/selective_scan_loops.h"
#include "kernels/selective_scan/selective_scan_operators.h"
#include "kernels/simd/choose.h"
#include "kernels/simd/tensor_view.h"

namespace m3d::selective_scan_operators {
namespace {

using namespace selective_scan_loops;

template <class T, class S, class O>
const Loops<T, S, O>& loops() {
  return M3D_CHOOSE(table, T, S, O);
}

/// run.template operator()<T, S, O>() for the types of tokens of this dtype. The sum of several passes is taken in the
/// arithmetic's type.
template <class Run>
void with_types(at::ScalarType dtype, bool several_passes, const Run& run) {
  if (dtype == at::kDouble) return run.template operator()<double, double, double>();
  if (dtype == at::kFloat) return run.template operator()<float, float, float>();
  if (dtype == at::kBFloat16)
    return several_passes ? run.template operator()<float, Bfloat16, float>()
                          : run.template operator()<float, Bfloat16, Bfloat16>();
  TORCH_CHECK(dtype == at::kHalf, "selective_scan: dtype ", dtype, " is not supported on CPU");
  return several_passes ? run.template operator()<float, Float16, float>()
                        : run.template operator()<float, Float16, Float16>();
}

/// The tensors of a call with dense rows (B, C, u, …) or contiguous (A, D, …), alive while loops run.
struct Arguments {
  Arguments(const at::Tensor& u_, const at::Tensor& delta_, const at::Tensor& A_, const at::Tensor& B_,
            const at::Tensor& C_, const OptionalTensor& D_, const OptionalTensor& z_, const OptionalTensor& delta_bias_,
            bool softplus_, const OptionalTensor& initial_state_, const OptionalTensor& orders_)
      : u(with_dense_rows(u_)),
        delta(with_dense_rows(delta_)),
        A(A_.contiguous()),
        B(with_dense_rows(B_)),
        C(with_dense_rows(C_)),
        softplus(softplus_),
        passes(orders_ ? orders_->size(0) : 1) {
    if (D_) D = D_->contiguous();
    if (z_) z = with_dense_rows(*z_);
    if (delta_bias_) delta_bias = delta_bias_->contiguous();
    if (initial_state_) initial_state = initial_state_->contiguous();
    if (orders_) orders = orders_->contiguous();
  }
  at::Tensor u, delta, A, B, C, D, z, delta_bias, initial_state, orders;
  bool softplus;
  std::int64_t passes;

  /// Of the outputs that every pass adds to.
  at::TensorOptions sum_options() const { return passes > 1 ? A.options() : u.options(); }
};

template <class T, class S>
Inputs<T, S> inputs(const Arguments& in) {
  return {.batch = in.u.size(0),
          .length = in.u.size(1),
          .channels = in.u.size(2),
          .states = in.A.size(1),
          .delta_softplus = in.softplus,
          .u = tokens_of<const S>(in.u),
          .delta = tokens_of<const S>(in.delta),
          .B = tokens_of<const S>(in.B),
          .C = tokens_of<const S>(in.C),
          .z = tokens_of<const S>(in.z),
          .A = values_of<T>(in.A),
          .D = values_of<T>(in.D),
          .delta_bias = values_of<T>(in.delta_bias),
          .initial_state = values_of<T>(in.initial_state),
          .orders = values_of<std::int32_t>(in.orders),
          .passes = in.passes};
}

std::int64_t groups_of(std::int64_t channels, int lanes) { return (channels + lanes - 1) / lanes; }

/// An even number of units: balanced on two threads, and few parts to add.
std::int64_t units_of(std::int64_t groups) {
  const std::int64_t pairs = (groups + 2 * kGroupsPerUnit - 1) / (2 * kGroupsPerUnit);
  return std::max<std::int64_t>(1, std::min(groups, 2 * pairs));
}

/// Multiply-adds of one group.
template <class T, class S>
std::int64_t work_of_group(const Inputs<T, S>& in, int lanes) {
  return in.passes * in.length * in.states * lanes * 8;
}

/// Hands out [0, pieces) to `workers` threads, in ranges that get smaller: cores are not equally fast at all times, and
/// who is done earlier takes more. Large ranges come first, since a range reads rows in one piece.
class Ranges {
 public:
  Ranges(std::int64_t pieces, std::int64_t workers) : pieces_(pieces), workers_(workers) {}
  struct Range {
    std::int64_t begin, end;
  };
  /// Empty when there is none left. `most`: pieces of a range; none crosses a multiple of `per_batch`.
  Range take(std::int64_t most, std::int64_t per_batch, bool alone) {
    std::int64_t begin = taken_.load(std::memory_order_relaxed), end;
    do {
      if (begin == pieces_) return {begin, begin};
      const std::int64_t left = pieces_ - begin;
      const std::int64_t share = alone ? left : (3 * left + 4 * workers_ - 1) / (4 * workers_);
      end = begin + std::min({share, most, per_batch - begin % per_batch});
    } while (!taken_.compare_exchange_weak(begin, end, std::memory_order_relaxed));
    return {begin, end};
  }

 private:
  std::int64_t pieces_, workers_;
  std::atomic<std::int64_t> taken_ = 0;
};

/// run(batch, first, count, memory) for the ranges of `per_batch` pieces (of `groups` groups each, at most) of every
/// batch that a thread takes together: at most as many as keep their states in the second-level cache.
template <class T, class S, class O, class Run>
void for_each_range(const Inputs<T, S>& in, const Loops<T, S, O>& chosen, std::int64_t per_batch, std::int64_t groups,
                    std::int64_t work, const at::TensorOptions& options, const Run& run) {
  constexpr std::int64_t cache_values = (512 << 10) / sizeof(T);
  const std::int64_t pieces = in.batch * per_batch, workers = at::get_num_threads();
  const std::int64_t values = chosen.memory_size(in.states, groups);
  const std::int64_t most = std::clamp<std::int64_t>(cache_values / values, 1, std::max<std::int64_t>(1, per_batch));
  Ranges ranges(pieces, workers);
  for_each_piece(workers, pieces * work / workers, [&](std::int64_t first, std::int64_t last) {
    const bool alone = last - first == workers;
    const auto take = [&] { return ranges.take(most, per_batch, alone); };
    const at::Tensor memory = at::empty({chosen.memory_size(in.states, most * groups)}, options);
    for (auto range = take(); range.begin < range.end; range = take())
      run(range.begin / per_batch, range.begin % per_batch, range.end - range.begin, memory.data_ptr<T>());
  });
}

template <class T, class S, class O>
void forward_all(const Forward<T, S, O>& scan, const at::TensorOptions& options) {
  const auto& chosen = loops<T, S, O>();
  const std::int64_t work = work_of_group(scan, chosen.lanes);
  for_each_range(scan, chosen, groups_of(scan.channels, chosen.lanes), 1, work, options,
                 [&](auto batch, auto first, auto count, T* memory) {
                   chosen.forward(scan, GroupRange{batch, first, count}, memory);
                 });
}

template <class T, class S, class O>
void backward_all(const Backward<T, S, O>& scan, const at::TensorOptions& options) {
  const auto& chosen = loops<T, S, O>();
  const std::int64_t work = work_of_group(scan, chosen.lanes) * kGroupsPerUnit * 2;
  for_each_range(scan, chosen, scan.units, kGroupsPerUnit, work, options,
                 [&](auto batch, auto first, auto count, T* memory) {
                   chosen.backward(scan, UnitRange{batch, first, count}, memory);
                 });
}

ForwardResult forward_cpu(const at::Tensor& u, const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B,
                          const at::Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                          const OptionalTensor& delta_bias, bool delta_softplus, const OptionalTensor& initial_state,
                          const OptionalTensor& orders, bool keep_states) {
  if (orders) check_permutations("selective_scan", "orders", *orders);
  const Arguments arguments(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders);
  const at::Tensor y = at::empty(u.sizes(), arguments.sum_options());
  const at::Tensor last_state = at::empty({u.size(0), u.size(2), A.size(1)}, A.options());
  at::Tensor kept = at::empty({0}, A.options());
  with_types(u.scalar_type(), arguments.passes > 1, [&]<class T, class S, class O>() {
    Forward<T, S, O> scan{inputs<T, S>(arguments), tokens_of<O>(y), last_state.data_ptr<T>(), nullptr};
    if (keep_states) {
      kept = at::empty({scan.batch, scan.passes, scan.chunks(), scan.states, scan.channels}, A.options());
      scan.checkpoints = kept.data_ptr<T>();
    }
    forward_all(scan, A.options());
  });
  return {y.to(u.scalar_type()), last_state, kept};
}

BackwardResult backward_cpu(const at::Tensor& grad_y, const OptionalTensor& grad_last_state, const at::Tensor& u,
                            const at::Tensor& delta, const at::Tensor& A, const at::Tensor& B, const at::Tensor& C,
                            const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias,
                            bool delta_softplus, const OptionalTensor& initial_state, const OptionalTensor& orders,
                            const at::Tensor& kept_states) {
  const Arguments arguments(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, orders);
  const at::Tensor dy = with_dense_rows(grad_y);
  const at::Tensor dstate = grad_last_state ? grad_last_state->contiguous() : at::Tensor();
  const auto options = A.options(), sum_options = arguments.sum_options();
  const std::int64_t batch = u.size(0), channels = u.size(2), states = A.size(1);
  const at::Tensor grad_u = at::empty(u.sizes(), sum_options), grad_delta = at::empty(u.sizes(), sum_options);
  const at::Tensor grad_z = z ? at::empty(u.sizes(), sum_options) : at::empty({0, 0, 0}, sum_options);
  const at::Tensor grad_initial_state = at::empty({batch, channels, states}, options);
  const at::Tensor A_parts = empty_parts(batch, {channels, states}, options);
  const at::Tensor D_parts = empty_parts(batch, {channels}, options);
  const at::Tensor bias_parts = empty_parts(batch, {channels}, options);
  at::Tensor BC_parts;
  with_types(u.scalar_type(), arguments.passes > 1, [&]<class T, class S, class O>() {
    const std::int64_t units = units_of(groups_of(channels, loops<T, S, O>().lanes));
    // No channels, nothing that a unit would write.
    BC_parts = channels > 0 ? at::empty({batch, units, 2, u.size(1), states}, options)
                            : at::zeros({batch, 1, 2, u.size(1), states}, options);
    const Backward<T, S, O> scan{inputs<T, S>(arguments),
                                 units,
                                 values_of<T>(kept_states),
                                 tokens_of<const S>(dy),
                                 values_of<T>(dstate),
                                 tokens_of<O>(grad_u),
                                 tokens_of<O>(grad_delta),
                                 tokens_of<O>(grad_z),
                                 A_parts.data_ptr<T>(),
                                 D_parts.data_ptr<T>(),
                                 bias_parts.data_ptr<T>(),
                                 BC_parts.data_ptr<T>(),
                                 grad_initial_state.data_ptr<T>()};
    if (channels > 0) backward_all(scan, options);
  });
  const auto dtype = u.scalar_type();
  return {grad_u.to(dtype),
          grad_delta.to(dtype),
          sum_in_order(A_parts, 0),
          sum_in_order(BC_parts.select(2, 0), 1).to(dtype),
          sum_in_order(BC_parts.select(2, 1), 1).to(dtype),
          sum_in_order(D_parts, 0),
          grad_z.to(dtype),
          sum_in_order(bias_parts, 0),
          grad_initial_state};
}

}  // namespace

TORCH_LIBRARY_IMPL(m3d, CPU, m) {
  m.impl("selective_scan_forward", forward_cpu);
  m.impl("selective_scan_backward", backward_cpu);
}

}  // namespace m3d::selective_scan_operators
