#include "architectures/blocks/checkpoint.h"

#include <ATen/autocast_mode.h>

namespace m3d {
namespace {

using Run = std::function<torch::Tensor(const torch::Tensor&)>;

/// The mixed precision in which the forward pass ran. Meta tensors have none.
struct Precision {
  explicit Precision(c10::DeviceType type)
      : device(type == c10::DeviceType::Meta ? c10::DeviceType::CPU : type),
        mixed(at::autocast::is_autocast_enabled(device)),
        dtype(at::autocast::get_autocast_dtype(device)) {}
  void set() const {
    at::autocast::set_autocast_enabled(device, mixed);
    at::autocast::set_autocast_dtype(device, dtype);
  }
  c10::DeviceType device;
  bool mixed;
  at::ScalarType dtype;
};

class PrecisionScope {
 public:
  explicit PrecisionScope(const Precision& wanted) : before_(wanted.device) { wanted.set(); }
  ~PrecisionScope() { before_.set(); }
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  Precision before_;
};

struct Kept : torch::CustomClassHolder {
  Kept(Run given, const torch::Tensor& x) : run(std::move(given)), precision(x.device().type()) {}
  Run run;
  Precision precision;
};

class Recompute : public torch::autograd::Function<Recompute> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x, const Run& run) {
    context->save_for_backward({x});
    context->saved_data["kept"] = c10::IValue::make_capsule(c10::make_intrusive<Kept>(run, x));
    return run(x);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto capsule = context->saved_data["kept"].toCapsule();
    const auto& kept = static_cast<const Kept&>(*capsule);
    const auto x = context->get_saved_variables()[0].detach().requires_grad_();
    const torch::AutoGradMode with_gradients(true);
    torch::Tensor y;
    {
      const PrecisionScope precision(kept.precision);
      y = kept.run(x);
    }
    torch::autograd::backward({y}, {gradients[0]});
    return {x.grad(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor checkpointed(const Run& run, const torch::Tensor& x) {
  return at::GradMode::is_enabled() && x.requires_grad() ? Recompute::apply(x, run) : run(x);
}

}  // namespace m3d
