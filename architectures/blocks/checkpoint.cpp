#include "architectures/blocks/checkpoint.h"

#include <ATen/autocast_mode.h>

namespace m3d {
namespace {

using Run = std::function<torch::Tensor(const torch::Tensor&)>;

/// The mixed precision in which the forward pass ran.
struct Precision {
  explicit Precision(const torch::Tensor& x)
      : device(x.device().type()),
        mixed(at::autocast::is_autocast_enabled(device)),
        dtype(at::autocast::get_autocast_dtype(device)) {}
  c10::DeviceType device;
  bool mixed;
  at::ScalarType dtype;
};

class PrecisionScope {
 public:
  explicit PrecisionScope(const Precision& wanted)
      : device_(wanted.device),
        mixed_(at::autocast::is_autocast_enabled(device_)),
        dtype_(at::autocast::get_autocast_dtype(device_)) {
    at::autocast::set_autocast_enabled(device_, wanted.mixed);
    at::autocast::set_autocast_dtype(device_, wanted.dtype);
  }
  ~PrecisionScope() {
    at::autocast::set_autocast_enabled(device_, mixed_);
    at::autocast::set_autocast_dtype(device_, dtype_);
  }
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  c10::DeviceType device_;
  bool mixed_;
  at::ScalarType dtype_;
};

struct Kept : torch::CustomClassHolder {
  Kept(Run given, const torch::Tensor& x) : run(std::move(given)), precision(x) {}
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
