#include "suite/profile/profile.h"

#include <algorithm>
#include <chrono>

#include "kernels/device_facts.h"
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

/// `repeats` calls after `warmup` uncounted ones.
Timing time_calls(const std::function<void()>& call, std::int64_t warmup, std::int64_t repeats,
                  const std::string& device) {
  std::vector<double> seconds;
  for (std::int64_t i = -warmup; i < repeats; ++i) {
    wait_for_device(device);
    const Clock::time_point start = Clock::now();
    call();
    wait_for_device(device);
    if (i >= 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
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

Timing time_training(Network& network, const SpeedRequest& request) {
  const torch::Device device = torch_device(request.device);
  const torch::Tensor image =
      torch::randn(shape_of(request.batch_size, request.input.channels, request.input.patch)).to(device);
  const torch::Tensor target = random_target(request).to(device);
  const auto optimiser = request.make_optimiser(network.parameters());
  network.train();
  const auto step = [&] {
    std::vector<torch::Tensor> outputs;
    {
      const AutocastScope autocast(request.device, request.precision);
      outputs = network.forward(image);
    }
    for (torch::Tensor& output : outputs) output = output.to(torch::kFloat32);
    optimiser->zero_grad();
    request.loss(outputs, target).backward();
    optimiser->step();
  };
  return time_calls(step, request.warmup, request.repeats, request.device);
}

Timing time_inference(Network& network, const SpeedRequest& request) {
  const torch::NoGradGuard no_gradients;
  network.eval();
  const torch::Tensor image =
      torch::randn(shape_of(1, request.input.channels, request.input.patch)).to(torch_device(request.device));
  const auto pass = [&] {
    const AutocastScope autocast(request.device, request.precision);
    network.forward(image);
  };
  return time_calls(pass, request.warmup, request.repeats, request.device);
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

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

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
  costs.macs_at_128 = count_macs(architecture, at_128, options);
  return costs;
}

MeasuredSpeed measure_speed(const Architecture& architecture, const Json& options, const SpeedRequest& request) {
  require_device_and_precision(request.device, request.precision);
  make_deterministic(request.seed);
  MeasuredSpeed speed;
  speed.device = device_name(torch_device(request.device));
  const MemoryMeter memory(request.device);
  const std::shared_ptr<Network> network = architecture.build(request.input, options, request.seed);
  network->to(torch_device(request.device));
  speed.training_step = time_training(*network, request);
  speed.train_patches_per_second = static_cast<double>(request.batch_size) / speed.training_step.median;
  speed.peak_memory_bytes = memory.peak_bytes();
  speed.inference = time_inference(*network, request);
  speed.inference_voxels_per_second =
      static_cast<double>(voxel_count(request.input.patch)) / speed.inference.median;
  return speed;
}

Json to_json(const MacCounts& macs) {
  return {{"total", macs.total()},
          {"convolution", macs.convolution},
          {"linear", macs.linear},
          {"attention", macs.attention},
          {"scan", macs.scan}};
}

Json profile_json(const NetworkCosts& costs, const std::optional<MeasuredSpeed>& speed,
                  const std::optional<double>& train_seconds) {
  Json json = {{"parameters", costs.parameters},
               {"macs", to_json(costs.macs)},
               {"macs_at_128", to_json(costs.macs_at_128)},
               {"scan_state_updates", costs.macs.scan_state_updates},
               {"patch", costs.patch},
               {"peak_memory_bytes", Json()},
               {"train_seconds", json_of(train_seconds)},
               {"train_patches_per_second", Json()},
               {"inference_voxels_per_second", Json()},
               {"device", Json()}};
  if (!speed) return json;
  if (speed->peak_memory_bytes) json["peak_memory_bytes"] = *speed->peak_memory_bytes;
  json["train_patches_per_second"] = speed->train_patches_per_second;
  json["inference_voxels_per_second"] = speed->inference_voxels_per_second;
  json["device"] = speed->device;
  return json;
}

}  // namespace m3d
