#include "architectures/macs.h"

#include <ATen/record_function.h>

#include <map>
#include <numeric>

#include "architectures/blocks/layers.h"
#include "architectures/blocks/published_order.h"
#include "architectures/meta_kernels.h"

namespace m3d {
namespace {

/// What one operator call adds, from the shapes it is given.
using Counter = void (*)(MacCounts& counts, const at::RecordFunction& call);

/// The counts of the run in progress on this thread. `depth` is the number of counted operators that are being
/// executed: only the outermost is counted, since a linear layer calls a matrix product, and so on.
struct Recording {
  MacCounts counts;
  int depth = 0;
};
thread_local Recording* recording = nullptr;

struct Nesting : at::ObserverContext {};

std::int64_t product(at::IntArrayRef sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

const at::Tensor& tensor(const at::RecordFunction& call, std::size_t index) { return call.inputs()[index].toTensor(); }

/// One multiply-add for every weight and every position where the kernel is applied: the output of a convolution, the
/// input of a transposed one.
void count_convolution(MacCounts& counts, const at::RecordFunction& call) {
  const auto& x = tensor(call, 0);
  const auto& weight = tensor(call, 1);
  const bool transposed = call.inputs()[6].toBool();
  const auto positions = transposed ? x : convolution_output(call.inputs());
  const std::int64_t macs = positions.size(0) * product(positions.sizes().slice(2)) * weight.numel();
  counts.convolution += macs;
  if (transposed) counts.transposed_convolution += macs;
}

void count_linear(MacCounts& counts, const at::RecordFunction& call) {
  counts.linear += tensor(call, 0).numel() * tensor(call, 1).size(0);
}

/// Products of two batches (attention's scores and sums) apart from products with one matrix for the whole batch.
void count_product(MacCounts& counts, const at::Tensor& a, const at::Tensor& b) {
  const std::int64_t macs = a.dim() < 2 || b.dim() < 2 ? std::max(a.numel(), b.numel())
                            : a.dim() >= b.dim()       ? a.numel() * b.size(-1)
                                                       : b.numel() * a.size(-2);
  (a.dim() > 2 && b.dim() > 2 ? counts.attention : counts.linear) += macs;
}

void count_matmul(MacCounts& counts, const at::RecordFunction& call) {
  count_product(counts, tensor(call, 0), tensor(call, 1));
}

void count_added_matmul(MacCounts& counts, const at::RecordFunction& call) {
  count_product(counts, tensor(call, 1), tensor(call, 2));
}

void count_attention(MacCounts& counts, const at::RecordFunction& call) {
  const auto& query = tensor(call, 0);
  const std::int64_t keys = tensor(call, 1).size(-2);
  counts.attention += query.numel() * keys + query.numel() / query.size(-1) * keys * tensor(call, 2).size(-1);
}

/// Counted as the padded convolution of the original computes it: width - 1 outputs more than tokens, cut off after.
void count_causal_convolution(MacCounts& counts, const at::RecordFunction& call) {
  const auto& x = tensor(call, 0);
  const std::int64_t width = tensor(call, 1).size(1);
  counts.convolution += x.size(0) * x.size(2) * width * (x.size(1) + width - 1);
}

void count_depthwise_convolution(MacCounts& counts, const at::RecordFunction& call) {
  const auto& weight = tensor(call, 1);
  counts.convolution += tensor(call, 0).numel() * (weight.numel() / weight.size(0));
}

void count_depthwise_convolutions(MacCounts& counts, const at::RecordFunction& call) {
  for (const at::Tensor& weight : call.inputs()[1].toTensorVector())
    counts.convolution += tensor(call, 0).numel() * (weight.numel() / weight.size(0));
}

void count_normalisation(MacCounts& counts, const at::RecordFunction& call) {
  counts.normalisation += 2 * tensor(call, 0).numel();
}

/// Every order is a scan of its own.
void count_scan(MacCounts& counts, const at::RecordFunction& call) {
  constexpr std::size_t orders = 10;  // its place among the arguments
  const auto& given = call.inputs()[orders];
  const std::int64_t scans = given.isTensor() ? given.toTensor().size(0) : 1;
  const std::int64_t updates = scans * tensor(call, 0).numel() * tensor(call, 2).size(1);
  counts.scan_state_updates += updates;
  counts.scan += 3 * updates;
}

Counter counter_of(const std::string& name) {
  static const std::map<std::string, Counter> counters = {
      {"aten::convolution", count_convolution},
      {"aten::linear", count_linear},
      {"aten::matmul", count_matmul},
      {"aten::mm", count_matmul},
      {"aten::bmm", count_matmul},
      {"aten::addmm", count_added_matmul},
      {"aten::baddbmm", count_added_matmul},
      {"aten::baddbmm_", count_added_matmul},
      {"aten::scaled_dot_product_attention", count_attention},
      {"aten::native_group_norm", count_normalisation},
      {"aten::native_layer_norm", count_normalisation},
      {"aten::batch_norm", count_normalisation},
      {"m3d::rms_norm", count_normalisation},
      {"m3d::causal_conv1d", count_causal_convolution},
      {"m3d::depthwise_conv3d", count_depthwise_convolution},
      {"m3d::depthwise_conv3d_multiscale", count_depthwise_convolutions},
      {"m3d::selective_scan", count_scan},
      {"m3d::selective_scan_with_state", count_scan}};
  const auto found = counters.find(name);
  return found == counters.end() ? nullptr : found->second;
}

std::unique_ptr<at::ObserverContext> on_enter(const at::RecordFunction& call) {
  if (!recording) return nullptr;
  const Counter counter = counter_of(call.name());
  if (!counter) return nullptr;
  if (recording->depth++ == 0) counter(recording->counts, call);
  return std::make_unique<Nesting>();
}

void on_exit(const at::RecordFunction&, at::ObserverContext* context) {
  if (context && recording) --recording->depth;
}

/// Watches this thread's operator calls while it lives.
class Watch {
 public:
  explicit Watch(Recording& into)
      : handle_(at::addThreadLocalCallback(
            at::RecordFunctionCallback(on_enter, on_exit).needsInputs(true).scopes({at::RecordScope::FUNCTION}))) {
    recording = &into;
  }
  ~Watch() {
    recording = nullptr;
    at::removeCallback(handle_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  at::CallbackHandle handle_;
};

}  // namespace

MacCounts count_macs(const Architecture& architecture, const NetworkInput& input, const Json& options) {
  register_meta_kernels();
  const MetaParameters on_meta;
  const auto network = architecture.build(input, options, /*seed=*/0);
  network->to(torch::kMeta);
  const auto image = torch::empty({1, input.channels, input.patch[0], input.patch[1], input.patch[2]}, torch::kMeta);
  return count_macs_of_run(*network, image);
}

MacCounts count_macs_of_run(Network& network, const torch::Tensor& image) {
  const torch::NoGradGuard no_grad;
  network.eval();
  Recording counts;
  const Watch watch(counts);
  const PublishedOrder published;
  network.forward_all(image);
  return counts.counts;
}

std::int64_t count_parameters(const torch::nn::Module& network) {
  std::int64_t count = 0;
  for (const auto& parameter : network.parameters())
    if (parameter.requires_grad()) count += parameter.numel();
  return count;
}

std::int64_t count_parameters(const Architecture& architecture, const NetworkInput& input, const Json& options) {
  const MetaParameters on_meta;
  return count_parameters(*architecture.build(input, options, /*seed=*/0));
}

}  // namespace m3d
