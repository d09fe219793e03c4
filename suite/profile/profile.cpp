#include "suite/profile/profile.h"

#include <algorithm>
#include <chrono>

#include "common/error.h"
#include "kernels/device_facts.h"
#include "suite/profile/memory_prediction.h"
#include "suite/profile/resident_memory.h"
#include "suite/train/device.h"
#include "suite/train/trainer.h"
#ifdef M3D_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace m3d {
namespace {

using Clock = std::chrono::steady_clock;

void wait_for_device(const std::string& device) {
  if (device == "cuda") torch::cuda::synchronize();
}

double seconds_of(const std::function<void()>& call, const std::string& device) {
  wait_for_device(device);
  const Clock::time_point start = Clock::now();
  call();
  wait_for_device(device);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Timing timing_of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t middle = seconds.size() / 2;
  const double median = seconds.size() % 2 == 1 ? seconds[middle] : 0.5 * (seconds[middle - 1] + seconds[middle]);
  return {median, seconds.front(), seconds.back()};
}

std::vector<std::int64_t> shape_of(std::int64_t batch, std::int64_t channels, const Shape3& patch) {
  return {batch, channels, patch[0], patch[1], patch[2]};
}

/// Noise and random labels: the work of a step does not depend on the values.
torch::Tensor random_target(const SpeedRequest& request) {
  const Shape3& patch = request.input.patch;
  if (request.region_based)
    return torch::randint(0, 2, shape_of(request.batch_size, request.input.classes, patch), torch::kFloat32);
  return torch::randint(0, request.input.classes, {request.batch_size, patch[0], patch[1], patch[2]}, torch::kInt64);
}

/// Training steps on one batch of noise, each part of a step timed apart.
class TrainingSteps {
 public:
  TrainingSteps(Network& network, const SpeedRequest& request)
      : network_(network),
        request_(request),
        image_(torch::randn(shape_of(request.batch_size, request.input.channels, request.input.patch))
                   .to(torch_device(request.device))),
        target_(random_target(request).to(torch_device(request.device))),
        optimiser_(request.make_optimiser(network.parameters())) {
    network.train();
  }

  void run(std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i) {
      std::vector<torch::Tensor> outputs;
      const double forward = seconds_of([&] { outputs = forward_pass(); }, request_.device);
      const double backward = seconds_of([&] { backward_pass(outputs); }, request_.device);
      outputs.clear();
      const double update = seconds_of([&] { optimiser_->step(); }, request_.device);
      forward_.push_back(forward), backward_.push_back(backward), step_.push_back(forward + backward + update);
    }
  }

  /// Forgets the steps so far.
  void restart() { forward_.clear(), backward_.clear(), step_.clear(); }

  void report(MeasuredSpeed& speed) const {
    speed.training_forward = timing_of(forward_);
    speed.training_backward = timing_of(backward_);
    speed.training_step = timing_of(step_);
    speed.train_patches_per_second = static_cast<double>(request_.batch_size) / speed.training_step.median;
  }

 private:
  std::vector<torch::Tensor> forward_pass() {
    const AutocastScope autocast(request_.device, request_.precision);
    return network_.forward(image_);
  }
  void backward_pass(std::vector<torch::Tensor>& outputs) {
    for (torch::Tensor& output : outputs) output = output.to(torch::kFloat32);
    optimiser_->zero_grad();
    request_.loss(outputs, target_).backward();
  }

  Network& network_;
  const SpeedRequest& request_;
  torch::Tensor image_, target_;
  std::unique_ptr<torch::optim::Optimizer> optimiser_;
  std::vector<double> forward_, backward_, step_;
};

Timing time_inference(Network& network, const SpeedRequest& request) {
  const torch::NoGradGuard no_gradients;
  network.eval();
  const torch::Tensor image =
      torch::randn(shape_of(1, request.input.channels, request.input.patch)).to(torch_device(request.device));
  std::vector<double> seconds;
  for (std::int64_t i = -request.warmup; i < request.repeats; ++i) {
    const AutocastScope autocast(request.device, request.precision);
    const double once = seconds_of([&] { network.forward(image); }, request.device);
    if (i >= 0) seconds.push_back(once);
  }
  return timing_of(seconds);
}

/// Memory that training needs on top of what is there when this object is made.
class MemoryMeter {
 public:
  explicit MemoryMeter(const std::string& device) : device_(device) {
#ifdef M3D_CUDA
    if (device_ == "cuda") c10::cuda::CUDACachingAllocator::resetPeakStats(0);
#endif
    if (device_ == "cpu" && reset_peak_resident()) before_ = resident_bytes();
  }

  std::optional<std::int64_t> peak_bytes() const {
#ifdef M3D_CUDA
    if (device_ == "cuda") return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0].peak;
#endif
    const auto peak = peak_resident_bytes();
    if (!before_ || !peak) return std::nullopt;
    return *peak - *before_;
  }

 private:
  std::string device_;
  std::optional<std::int64_t> before_;
};

}  // namespace

Shape3 round_up_to_divisors(const Shape3& patch, const Architecture& architecture, const Json& options) {
  const std::array<std::int64_t, 3> divisors = architecture.divisors(options);
  Shape3 rounded{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    rounded[axis] = (patch[axis] + divisors[axis] - 1) / divisors[axis] * divisors[axis];
  return rounded;
}

NetworkCosts count_costs(const Architecture& architecture, const NetworkInput& input, const Json& options) {
  NetworkCosts costs;
  costs.patch = input.patch;
  costs.patch_at_128 = round_up_to_divisors({128, 128, 128}, architecture, options);
  NetworkInput at_128 = input;
  at_128.patch = costs.patch_at_128;
  costs.parameters = count_parameters(architecture, input, options);
  costs.macs = count_macs(architecture, input, options);
  try {
    costs.macs_at_128 = count_macs(architecture, at_128, options);
  } catch (const UserError&) {
    // Built at its own patch above: this one does not fit, as with windows that want odd numbers of tokens.
  }
  return costs;
}

MeasuredSpeed measure_speed(const Architecture& architecture, const Json& options, const SpeedRequest& request) {
  require_device_and_precision(request.device, request.precision);
  make_deterministic(request.seed);
  MeasuredSpeed speed;
  speed.device = device_name(torch_device(request.device));
  const MemoryMeter memory(request.device);
  std::optional<TensorMemoryMeter> tensors(std::in_place);
  const std::shared_ptr<Network> network = architecture.build(request.input, options, request.seed);
  network->to(torch_device(request.device));
  {
    TrainingSteps steps(*network, request);
    steps.run(std::max<std::int64_t>(request.warmup, 2));  // the optimiser's states exist from the second step on
    speed.peak_tensor_bytes = request.device == "cpu" ? tensors->peak_bytes() : memory.peak_bytes();
    tensors.reset();  // counting costs time
    steps.restart();
    steps.run(request.repeats);
    steps.report(speed);
  }
  speed.peak_memory_bytes = memory.peak_bytes();
  speed.inference = time_inference(*network, request);
  speed.inference_voxels_per_second = static_cast<double>(voxel_count(request.input.patch)) / speed.inference.median;
  return speed;
}

Json to_json(const MacCounts& macs) {
  return {{"total", macs.total()},
          {"convolution", macs.convolution},
          {"transposed_convolution", macs.transposed_convolution},
          {"linear", macs.linear},
          {"attention", macs.attention},
          {"scan", macs.scan},
          {"normalisation", macs.normalisation}};
}

Json profile_json(const NetworkCosts& costs) {
  return {{"parameters", costs.parameters},
          {"macs", to_json(costs.macs)},
          {"macs_at_128", costs.macs_at_128 ? to_json(*costs.macs_at_128) : Json()},
          {"scan_state_updates", costs.macs.scan_state_updates},
          {"patch", costs.patch},
          {"predicted_tensor_bytes", Json()},
          {"peak_tensor_bytes", Json()},
          {"peak_memory_bytes", Json()},
          {"train_seconds", Json()},
          {"train_patches_per_second", Json()},
          {"inference_voxels_per_second", Json()},
          {"device", Json()}};
}

void add_speed(Json& profile, const MeasuredSpeed& speed) {
  if (speed.peak_memory_bytes) profile["peak_memory_bytes"] = *speed.peak_memory_bytes;
  if (speed.peak_tensor_bytes) profile["peak_tensor_bytes"] = *speed.peak_tensor_bytes;
  profile["train_patches_per_second"] = speed.train_patches_per_second;
  profile["inference_voxels_per_second"] = speed.inference_voxels_per_second;
  profile["device"] = speed.device;
}

}  // namespace m3d
