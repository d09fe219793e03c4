#include "suite/train/numeric_failure.h"

#include <ATen/record_function.h>

#include <map>
#include <string_view>

namespace m3d {
namespace {

bool is_finite(const torch::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_floating_point() || tensor.numel() == 0) return true;
  return torch::isfinite(tensor.detach()).all().item<bool>();
}

std::string module_of(const std::string& parameter) {
  const std::size_t dot = parameter.rfind('.');
  return dot == std::string::npos ? std::string("(the network itself)") : parameter.substr(0, dot);
}

/// Operators whose results may hold anything on purpose (fresh memory, the -inf of attention masks) and those that only
/// look at memory in another way.
bool may_be_non_finite(std::string_view name) {
  for (const std::string_view known : {"aten::empty",      "aten::new_empty",   "aten::resize",
                                       "aten::set_",       "aten::full",        "aten::new_full",
                                       "aten::fill",       "aten::masked_fill", "aten::_local_scalar_dense",
                                       "aten::as_strided", "aten::view",        "aten::_reshape_alias",
                                       "aten::select",     "aten::slice",       "aten::narrow",
                                       "aten::transpose",  "aten::permute",     "aten::detach",
                                       "aten::alias",      "aten::expand",      "aten::unsqueeze",
                                       "aten::squeeze"})
    if (name.starts_with(known)) return true;
  return false;
}

/// Watches the operators that this thread calls, until one yields a non-finite result.
class OperatorWatch {
 public:
  explicit OperatorWatch(const Network& network) {
    for (const auto& item : network.named_parameters())
      owners_.emplace(item.value().storage().unsafeGetStorageImpl(), module_of(item.key()));
    current_ = this;
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&started, &ended)
                                             .needsInputs(true)
                                             .needsOutputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
  }
  ~OperatorWatch() {
    at::removeCallback(handle_);
    current_ = nullptr;
  }
  OperatorWatch(const OperatorWatch&) = delete;
  OperatorWatch& operator=(const OperatorWatch&) = delete;

  const std::string& finding() const { return finding_; }

 private:
  static std::unique_ptr<at::ObserverContext> started(const at::RecordFunction& function) {
    for (const c10::IValue& input : function.inputs())
      if (input.isTensor()) current_->visit(input.toTensor());
    return nullptr;
  }

  static void ended(const at::RecordFunction& function, at::ObserverContext*) {
    if (!current_->finding_.empty() || current_->checking_ || may_be_non_finite(function.name())) return;
    current_->checking_ = true;  // the check calls operators too
    for (const c10::IValue& output : function.outputs())
      if (output.isTensor() && !is_finite(output.toTensor())) current_->found(function.name());
    current_->checking_ = false;
  }

  void visit(const torch::Tensor& input) {
    if (checking_ || !input.defined() || !input.has_storage()) return;
    const auto owner = owners_.find(input.storage().unsafeGetStorageImpl());
    if (owner != owners_.end()) module_ = owner->second;
  }

  void found(const char* operator_name) {
    finding_ = (module_.empty() ? "the network's input" : "module " + module_) + " (" + operator_name + ")";
  }

  static thread_local OperatorWatch* current_;
  std::map<const void*, std::string> owners_;
  at::CallbackHandle handle_ = 0;
  std::string module_, finding_;
  bool checking_ = false;
};

thread_local OperatorWatch* OperatorWatch::current_ = nullptr;

}  // namespace

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const OutOfMemory*>(&error) || dynamic_cast<const std::bad_alloc*>(&error) ||
      dynamic_cast<const c10::OutOfMemoryError*>(&error))
    return true;
  const std::string_view message = error.what();
  return message.find("DefaultCPUAllocator") != std::string_view::npos ||
         message.find("out of memory") != std::string_view::npos;
}

std::string first_non_finite_output(const Network& network, const std::function<void()>& forward) {
  for (const auto& item : network.named_parameters())
    if (!is_finite(item.value())) return "module " + module_of(item.key()) + " (its parameter " + item.key() + ")";
  const torch::NoGradGuard no_gradients;
  OperatorWatch watch(network);
  forward();
  return watch.finding().empty() ? "the loss (every output of the network is finite)" : watch.finding();
}

std::string first_non_finite_gradient(const Network& network) {
  const auto parameters = network.named_parameters();
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const auto& item = parameters[i];
    if (!is_finite(item.value().grad())) return "module " + module_of(item.key()) + " (gradient of " + item.key() + ")";
  }
  return "the norm of the gradients (each gradient is finite)";
}

}  // namespace m3d
