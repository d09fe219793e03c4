#include "architectures/blocks/token_product.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/torch.h>

namespace m3d {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// run(piece, first row) for pieces of so many rows of the weight.
template <class Run>
void for_each_part(at::IntArrayRef sizes, const Run& run) {
  std::int64_t start = 0;
  for (std::size_t i = 0; i < sizes.size(); start += sizes[i++]) run(i, start);
}

struct TokenProducts : torch::autograd::Function<TokenProducts> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& given, const torch::Tensor& weight,
                               const std::vector<std::int64_t>& sizes) {
    const torch::Tensor x = given.contiguous(), rows = x.view({-1, x.size(2)});
    variable_list products;
    for_each_part(sizes, [&](std::size_t i, std::int64_t start) {
      const auto part = weight.narrow(0, start, sizes[i]);
      products.push_back(torch::mm(rows, part.t()).view({x.size(0), x.size(1), sizes[i]}));
    });
    context->save_for_backward({x, weight});
    context->saved_data["sizes"] = sizes;
    context->set_materialize_grads(false);
    return products;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "token_products: has no second derivative (create_graph)");
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1];
    const std::vector<std::int64_t> sizes = context->saved_data["sizes"].toIntVector();
    const torch::Tensor rows = x.view({-1, x.size(2)}), grad_weight = torch::empty_like(weight);
    torch::Tensor grad_x;
    for_each_part(sizes, [&](std::size_t i, std::int64_t start) {
      const auto part = weight.narrow(0, start, sizes[i]);
      auto grad_part = grad_weight.narrow(0, start, sizes[i]);
      if (!gradients[i].defined()) {
        grad_part.zero_();
        return;
      }
      const auto slopes = gradients[i].contiguous().view({-1, sizes[i]});
      torch::mm_out(grad_part, slopes.t(), rows);
      const auto product = torch::mm(slopes, part);
      grad_x = grad_x.defined() ? grad_x.add_(product) : product;
    });
    return {grad_x.defined() ? grad_x.view(x.sizes()) : grad_x, grad_weight, {}};
  }
};

}  // namespace

std::vector<torch::Tensor> token_products(const torch::Tensor& x, const torch::Tensor& weight,
                                          const std::vector<std::int64_t>& sizes) {
  const bool plain = x.is_cpu() && x.dim() == 3 && x.scalar_type() == weight.scalar_type() && weight.is_contiguous() &&
                     !at::autocast::is_autocast_enabled(at::kCPU);
  if (plain) return TokenProducts::apply(x, weight, sizes);
  std::vector<torch::Tensor> products;
  for_each_part(sizes, [&](std::size_t i, std::int64_t start) {
    products.push_back(torch::linear(x, weight.narrow(0, start, sizes[i])));
  });
  return products;
}

torch::Tensor token_product(const torch::Tensor& x, const torch::Tensor& weight) {
  return token_products(x, weight, {weight.size(0)})[0];
}

}  // namespace m3d
