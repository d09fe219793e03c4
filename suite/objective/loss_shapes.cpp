#include "suite/objective/loss_shapes.h"

#include <torch/torch.h>

namespace m3d {
namespace {

class LossShapes : public torch::autograd::Function<LossShapes> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& target) {
    context->save_for_backward({at::empty_like(logits), target});
    return at::empty({}, logits.options());
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list&) {
    return {at::empty_like(context->get_saved_variables()[0]), at::Tensor()};
  }
};

}  // namespace

at::Tensor loss_shapes(const at::Tensor& logits, const at::Tensor& target) {
  return LossShapes::apply(logits.contiguous(), target.contiguous());
}

}  // namespace m3d
