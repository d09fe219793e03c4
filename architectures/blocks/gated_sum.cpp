#include "architectures/blocks/gated_sum.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/torch.h>

#include <algorithm>

#include "kernels/parallel.h"

namespace m3d {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Of gate [B, L, C] and S scales.
struct Sizes {
  std::int64_t batch, scales, length, channels;
};

/// run(batch, token, gate's row) on all threads.
template <class Run>
void for_each_token(const Sizes& sizes, const Run& run) {
  for_each_piece(sizes.batch * sizes.length, sizes.scales * sizes.channels, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) run(row / sizes.length, row % sizes.length, row * sizes.channels);
  });
}

template <class T>
void forward_rows(const Sizes& sizes, const std::vector<const T*>& parts, const T* gate, T* sum, T* out) {
  for_each_token(sizes, [&](std::int64_t batch, std::int64_t token, std::int64_t gate_row) {
    for (std::int64_t s = 0; s < sizes.scales; ++s) {
      const std::int64_t row = ((batch * sizes.scales + s) * sizes.length + token) * sizes.channels;
      if (parts.size() > 1) {
        const T *const first = parts[0] + row, *const second = parts[1] + row;
        for (std::int64_t c = 0; c < sizes.channels; ++c) sum[row + c] = first[c] + second[c];
      }
      for (std::size_t part = 2; part < parts.size(); ++part)
        for (std::int64_t c = 0; c < sizes.channels; ++c) sum[row + c] += parts[part][row + c];
      T* const to = out + gate_row * sizes.scales + s * sizes.channels;
      for (std::int64_t c = 0; c < sizes.channels; ++c) to[c] = sum[row + c] * gate[gate_row + c];
    }
  });
}

template <class T>
void backward_rows(const Sizes& sizes, const T* gradient, const T* gate, const T* sum, T* grad_sum, T* grad_gate) {
  for_each_token(sizes, [&](std::int64_t batch, std::int64_t token, std::int64_t gate_row) {
    T* const to_gate = grad_gate + gate_row;
    std::fill_n(to_gate, sizes.channels, T(0));
    for (std::int64_t s = 0; s < sizes.scales; ++s) {
      const std::int64_t row = ((batch * sizes.scales + s) * sizes.length + token) * sizes.channels;
      const T* const from = gradient + gate_row * sizes.scales + s * sizes.channels;
      for (std::int64_t c = 0; c < sizes.channels; ++c) {
        grad_sum[row + c] = from[c] * gate[gate_row + c];
        to_gate[c] += from[c] * sum[row + c];
      }
    }
  });
}

Sizes sizes_of(const torch::Tensor& sum, const torch::Tensor& gate) {
  return {gate.size(0), gate.size(1) > 0 ? sum.size(1) / gate.size(1) : 1, gate.size(1), gate.size(2)};
}

/// Of the gate as it multiplies.
struct GatedSum : torch::autograd::Function<GatedSum> {
  static torch::Tensor forward(AutogradContext* context, at::TensorList scans, const torch::Tensor& given) {
    variable_list parts;
    for (const torch::Tensor& scan : scans) parts.push_back(scan.contiguous());
    const torch::Tensor gate = given.contiguous(), sum = parts.size() > 1 ? torch::empty_like(parts[0]) : parts[0];
    const Sizes sizes = sizes_of(sum, gate);
    const torch::Tensor out = torch::empty({sizes.batch, sizes.length, sizes.scales * sizes.channels}, gate.options());
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "gated_sum", [&] {
      std::vector<const scalar_t*> rows;
      for (const torch::Tensor& part : parts) rows.push_back(part.const_data_ptr<scalar_t>());
      forward_rows<scalar_t>(sizes, rows, gate.const_data_ptr<scalar_t>(), sum.data_ptr<scalar_t>(),
                             out.data_ptr<scalar_t>());
    });
    context->save_for_backward({sum, gate});
    context->saved_data["scans"] = static_cast<std::int64_t>(parts.size());
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "gated_sum: has no second derivative (create_graph)");
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &sum = saved[0], &gate = saved[1];
    const torch::Tensor gradient = gradients[0].contiguous();
    const torch::Tensor grad_sum = torch::empty_like(sum), grad_gate = torch::empty_like(gate);
    AT_DISPATCH_FLOATING_TYPES(gate.scalar_type(), "gated_sum", [&] {
      backward_rows<scalar_t>(sizes_of(sum, gate), gradient.const_data_ptr<scalar_t>(), gate.const_data_ptr<scalar_t>(),
                              sum.const_data_ptr<scalar_t>(), grad_sum.data_ptr<scalar_t>(),
                              grad_gate.data_ptr<scalar_t>());
    });
    variable_list result(static_cast<std::size_t>(context->saved_data["scans"].toInt()), grad_sum);
    result.push_back(grad_gate);
    return result;
  }
};

torch::Tensor by_operators(const std::vector<torch::Tensor>& scans, const torch::Tensor& gate) {
  torch::Tensor sum = scans[0];
  for (std::size_t i = 1; i < scans.size(); ++i) sum = sum + scans[i];
  const auto scaled = sum.unflatten(1, {-1, gate.size(1)}) * gate.unsqueeze(1);
  return scaled.transpose(1, 2).reshape({gate.size(0), gate.size(1), -1});
}

}  // namespace

torch::Tensor gated_sum(const std::vector<torch::Tensor>& scans, const torch::Tensor& z, double factor) {
  const auto gate = factor == 1 ? torch::silu(z) : torch::silu(z) * factor;
  const auto type = gate.scalar_type();
  const bool rows = gate.is_cpu() && (type == torch::kFloat || type == torch::kDouble) &&
                    std::all_of(scans.begin(), scans.end(), [&](const auto& y) { return y.scalar_type() == type; });
  return rows ? GatedSum::apply(at::TensorList(scans), gate) : by_operators(scans, gate);
}

}  // namespace m3d
