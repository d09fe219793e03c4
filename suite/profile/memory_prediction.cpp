#include "suite/profile/memory_prediction.h"

#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <atomic>
#include <mutex>

#include "architectures/blocks/layers.h"
#include "architectures/meta_kernels.h"
#include "architectures/network_state.h"

namespace m3d {
namespace {

/// Bytes that are alive, and the most that ever were.
struct LiveBytes {
  void add(std::int64_t bytes) {
    now += bytes;
    peak = std::max(peak, now);
  }
  std::int64_t now = 0, peak = 0;
};

thread_local LiveBytes* counted = nullptr;

/// Gives meta tensors no memory, as LibTorch's own allocator, and counts what they would have.
class CountingMetaAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (counted) counted->add(static_cast<std::int64_t>(bytes));
    // The size travels in the context, which the deleter gets back; no address is ever followed.
    return {nullptr, reinterpret_cast<void*>(bytes), &release, c10::Device(c10::DeviceType::Meta)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void*, const void*, std::size_t) const override {}

 private:
  static void release(void* context) {
    if (counted) counted->add(-static_cast<std::int64_t>(reinterpret_cast<std::size_t>(context)));
  }
};

/// Puts the counting allocator in place, once, for the process: outside of a count it does nothing.
void install_allocator() {
  static CountingMetaAllocator allocator;
  static std::once_flag once;
  std::call_once(once, [] { c10::SetAllocator(c10::DeviceType::Meta, &allocator, /*priority=*/255); });
}

/// Tensors that CPU kernels make for themselves and meta kernels do not: interpolation's gradient works on a contiguous
/// copy of what is given in channels-last strides.
std::int64_t scratch_bytes(const at::RecordFunction& call) {
  const std::string name = call.name();
  const bool interpolation = name.starts_with("aten::upsample_") && name.ends_with("_backward");
  if (!interpolation || call.inputs().empty() || !call.inputs()[0].isTensor()) return 0;
  const torch::Tensor& gradient = call.inputs()[0].toTensor();
  return gradient.is_contiguous() ? 0 : static_cast<std::int64_t>(gradient.nbytes());
}

struct Scratch : at::ObserverContext {
  explicit Scratch(std::int64_t size) : bytes(size) {}
  std::int64_t bytes;
};

std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction& call) {
  const std::int64_t bytes = counted ? scratch_bytes(call) : 0;
  if (bytes == 0) return nullptr;
  counted->add(bytes);
  return std::make_unique<Scratch>(bytes);
}

void leave(const at::RecordFunction&, at::ObserverContext* context) {
  if (context && counted) counted->add(-static_cast<Scratch*>(context)->bytes);
}

class Counting {
 public:
  explicit Counting(LiveBytes& bytes)
      : observer_(at::addThreadLocalCallback(
            at::RecordFunctionCallback(enter, leave).needsInputs(true).scopes({at::RecordScope::FUNCTION}))) {
    install_allocator();
    counted = &bytes;
  }
  ~Counting() {
    counted = nullptr;
    at::removeCallback(observer_);
  }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  at::CallbackHandle observer_;
};

torch::Tensor image_on_meta(const SpeedRequest& request, std::int64_t batch) {
  const auto& [channels, classes, patch] = request.input;
  return torch::empty({batch, channels, patch[0], patch[1], patch[2]}, torch::kMeta);
}

torch::Tensor target_on_meta(const SpeedRequest& request) {
  const auto& [channels, classes, patch] = request.input;
  const auto options = torch::TensorOptions(torch::kMeta);
  if (request.region_based)
    return torch::empty({request.batch_size, classes, patch[0], patch[1], patch[2]}, options);
  return torch::empty({request.batch_size, patch[0], patch[1], patch[2]}, options.dtype(torch::kInt64));
}

std::int64_t bytes_of_state(const torch::nn::Module& network) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : state_of(network)) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

}  // namespace

std::optional<MemoryPrediction> predict_memory(const Architecture& architecture, const Json& options,
                                               const SpeedRequest& request) try {
  register_meta_kernels();
  const MetaParameters on_meta;
  MemoryPrediction prediction;
  LiveBytes live;
  const Counting counting(live);
  const auto network = architecture.build(request.input, options, /*seed=*/0);
  network->to(torch::kMeta);
  prediction.parameters = bytes_of_state(*network);
  {
    const torch::NoGradGuard no_gradients;
    network->eval();
    const auto image = image_on_meta(request, 1);
    live.peak = live.now;
    network->forward(image);
    prediction.inference_peak = live.peak;
  }
  network->train();
  const auto image = image_on_meta(request, request.batch_size), target = target_on_meta(request);
  const auto optimiser = request.make_optimiser(network->parameters());
  for (int step = 0; step < 2; ++step) {  // the optimiser's states exist from the first update on
    live.peak = live.now;
    const std::int64_t before = live.now;
    const auto outputs = network->forward(image);
    prediction.activations = live.now - before;
    optimiser->zero_grad();
    request.loss(outputs, target).backward();
    const std::int64_t without_states = live.now;
    optimiser->step();
    if (step == 0) prediction.optimiser = live.now - without_states;
  }
  prediction.training_peak = live.peak;
  return prediction;
} catch (const c10::NotImplementedError&) {
  return std::nullopt;
}

struct TensorMemoryMeter::State : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    const std::scoped_lock lock(mutex);
    live.add(bytes);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() {
    const std::scoped_lock lock(mutex);
    return live.peak;
  }
  std::mutex mutex;
  LiveBytes live;
};

TensorMemoryMeter::TensorMemoryMeter() : state_(std::make_shared<State>()) {
  c10::ThreadLocalDebugInfo::_push(c10::DebugInfoKind::PROFILER_STATE, state_);
}
TensorMemoryMeter::~TensorMemoryMeter() { c10::ThreadLocalDebugInfo::_pop(c10::DebugInfoKind::PROFILER_STATE); }
std::int64_t TensorMemoryMeter::peak_bytes() const { return state_->peak(); }

}  // namespace m3d
