#pragma once
// What a network costs: counted (parameters, multiply-accumulates) and measured (memory, speed).
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "architectures/macs.h"
#include "architectures/registry.h"
#include "datasets/images/image.h"

namespace m3d {

/// Counted on meta tensors: needs neither the memory nor the time of a run. `macs_at_128` is for 128³, each axis
/// rounded up to the network's divisors; absent where the network takes no such patch.
struct NetworkCosts {
  std::int64_t parameters = 0;
  Shape3 patch{}, patch_at_128{};
  MacCounts macs;
  std::optional<MacCounts> macs_at_128;
};

/// The smallest patch that holds `patch` and that the architecture takes.
Shape3 round_up_to_divisors(const Shape3& patch, const Architecture& architecture, const Json& options);

/// Costs at the patch of `input`. Throws UserError where the network cannot be built.
NetworkCosts count_costs(const Architecture& architecture, const NetworkInput& input, const Json& options);

/// How training and inference are measured. The steps are those of training, on random data of the patch's size.
struct SpeedRequest {
  NetworkInput input;
  bool region_based = false;
  std::int64_t batch_size = 2;
  std::int64_t warmup = 1, repeats = 3;
  std::uint64_t seed = 0;
  std::string device = "cpu", precision = "fp32";
  std::function<torch::Tensor(const std::vector<torch::Tensor>& outputs, const torch::Tensor& target)> loss;
  std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::Tensor>)> make_optimiser;
};

/// Seconds of repeated calls.
struct Timing {
  double median = 0, least = 0, most = 0;
};

struct MeasuredSpeed {
  /// CPU: how far the process's resident memory rose above its value before the network existed, over the warm-up and
  /// timed training steps (Linux's VmHWM, reset through /proc/self/clear_refs; absent where that cannot be written).
  /// CUDA: the allocator's peak.
  std::optional<std::int64_t> peak_memory_bytes;
  /// The most bytes of tensors alive during a training step (CPU: counted in a step that is not timed).
  std::optional<std::int64_t> peak_tensor_bytes;
  Timing training_step;                    // of a batch: forward, loss, backward, update
  Timing training_forward;                 // its forward pass
  Timing training_backward;                // its loss and backward pass
  Timing inference;                        // of one patch: forward
  double train_patches_per_second = 0;     // batch size / median seconds of a step
  double inference_voxels_per_second = 0;  // patch voxels / median seconds of a forward pass
  std::string device;                      // the processor's name
};

/// Builds the network anew and measures it. `warmup` steps are not counted; medians are over `repeats`.
MeasuredSpeed measure_speed(const Architecture& architecture, const Json& options, const SpeedRequest& request);

/// The `macs` object of record.json.
Json to_json(const MacCounts& macs);
/// The `profile` object of record.json with what is counted; all that is measured or predicted is null.
Json profile_json(const NetworkCosts& costs);
/// Puts what was measured into it.
void add_speed(Json& profile, const MeasuredSpeed& speed);

}  // namespace m3d
