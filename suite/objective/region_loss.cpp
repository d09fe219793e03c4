#include "suite/objective/region_loss.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "suite/objective/chunks.h"
#include "suite/objective/dice.h"

namespace m3d {
namespace {

/// Sums over the voxels of one region in one sample (or chunk of it).
struct Sums {
  double overlap = 0, predicted = 0, expected = 0, cross_entropy = 0;
  void add(const Sums& other) {
    overlap += other.overlap;
    predicted += other.predicted;
    expected += other.expected;
    cross_entropy += other.cross_entropy;
  }
};

/// run(row, begin, size) for the chunks of all rows; a row is one region of one sample.
template <class Run>
void for_each_chunk(const Layout& rows, const Run& run) {
  at::parallel_for(0, rows.chunks(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) run(i, chunk_at(rows, i));
  });
}

/// [B, K, N] as B K rows of N voxels.
Layout rows_of(const at::Tensor& logits) { return {logits.size(0) * logits.size(1), 1, logits.size(2)}; }

/// What a chunk of one region is measured against. The target has as many channels as there are regions, and one more
/// where voxels may be ignored.
template <class T>
struct Expected {
  const T* target;
  const T* ignored;  // 1 where the voxel counts nowhere; null: all count
};

template <class T>
Expected<T> expected_at(const at::Tensor& target, std::int64_t regions, const Chunk& chunk) {
  const std::int64_t channels = target.size(1), voxels = target.size(2);
  const T* sample = target.const_data_ptr<T>() + chunk.sample / regions * channels * voxels + chunk.begin;
  return {sample + chunk.sample % regions * voxels, channels > regions ? sample + regions * voxels : nullptr};
}

/// Calls use(counts), where counts(n) is 1 at voxels that count and 0 at others.
template <class T, class Use>
auto with_counts(const Expected<T>& expected, const Use& use) {
  if (expected.ignored == nullptr) return use([](std::int64_t) { return T(1); });
  return use([ignored = expected.ignored](std::int64_t n) { return 1 - ignored[n]; });
}

/// -log(sigmoid) where the target is 1, -log(1 - sigmoid) where it is 0: log(1 + exp(x)) - x target.
template <class T>
std::vector<Sums> sum_rows(const at::Tensor& logits, const at::Tensor& probabilities, const at::Tensor& target) {
  const at::Tensor softplus = at::softplus(logits, 1, /*threshold=*/50);  // torch's own 20 would be off by 2e-9
  const Layout rows = rows_of(logits);
  std::vector<Sums> chunks(static_cast<std::size_t>(rows.chunks()));
  for_each_chunk(rows, [&](std::int64_t index, const Chunk& chunk) {
    const std::int64_t first = chunk.sample * rows.voxels + chunk.begin;
    const T *x = logits.const_data_ptr<T>() + first, *p = probabilities.const_data_ptr<T>() + first,
            *log_sum = softplus.const_data_ptr<T>() + first;
    const Expected<T> expected = expected_at<T>(target, logits.size(1), chunk);
    const T* t = expected.target;
    chunks[static_cast<std::size_t>(index)] = with_counts(expected, [&](const auto& counts) -> Sums {
      const auto sum = [&](const auto& value) {
        return sum_of_each(chunk.size, [&](std::int64_t n) { return counts(n) * value(n); });
      };
      return {sum([&](std::int64_t n) { return p[n] * t[n]; }), sum([&](std::int64_t n) { return p[n]; }),
              sum([&](std::int64_t n) { return t[n]; }), sum([&](std::int64_t n) { return log_sum[n] - x[n] * t[n]; })};
    });
  });
  std::vector<Sums> sums(static_cast<std::size_t>(rows.batch));
  for (std::int64_t i = 0; i < rows.chunks(); ++i)
    sums[static_cast<std::size_t>(chunk_at(rows, i).sample)].add(chunks[static_cast<std::size_t>(i)]);
  return sums;
}

/// What the cross-entropy's sum is divided by: all elements, or with an ignore label the voxels that count (so that the
/// regions' means are added, as nnU-Net does).
double cross_entropy_divisor(const at::Tensor& logits, const at::Tensor& target) {
  if (target.size(1) == logits.size(1)) return static_cast<double>(logits.numel());
  return std::max(target.select(1, logits.size(1)).eq(0).sum().item<double>(), kDiceFloor);
}

/// Value of the loss and, by row, its derivative by the probability: `overlap` target + `volume`.
struct Objective {
  double value = 0;
  at::Tensor overlap, volume;  // [B K] float64
  double by_element = 0;       // factor of (p - target) in the derivative by the logits
};

Objective objective_of(const std::vector<Sums>& rows, const at::Tensor& logits, const at::Tensor& target,
                       const LossOptions& options) {
  const std::int64_t batch = logits.size(0), regions = logits.size(1);
  Objective objective;
  objective.overlap = at::zeros({batch * regions}, at::kDouble);
  objective.volume = at::zeros({batch * regions}, at::kDouble);
  objective.by_element = options.cross_entropy_weight / cross_entropy_divisor(logits, target);
  double *overlap = objective.overlap.mutable_data_ptr<double>(), *volume = objective.volume.mutable_data_ptr<double>();
  const double terms = static_cast<double>(regions * (options.batch_dice ? 1 : batch));
  for (std::int64_t k = 0; k < regions; ++k) {
    Sums together;
    for (std::int64_t b = 0; b < batch; ++b) together.add(rows[static_cast<std::size_t>(b * regions + k)]);
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::int64_t row = b * regions + k;
      const Sums& sums = options.batch_dice ? together : rows[static_cast<std::size_t>(row)];
      const DiceTerm term = dice_term(sums.overlap, sums.predicted, sums.expected, options.dice_weight, terms);
      if (b == 0 || !options.batch_dice) objective.value += term.loss;
      overlap[row] = term.overlap;
      volume[row] = term.volume;
    }
    objective.value += objective.by_element * together.cross_entropy;
  }
  return objective;
}

class FusedRegionLoss : public torch::autograd::Function<FusedRegionLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& target, const LossOptions& options) {
    const at::Tensor probabilities = at::sigmoid(logits);
    std::vector<Sums> rows;
    AT_DISPATCH_FLOATING_TYPES(logits.scalar_type(), "region_loss",
                               [&] { rows = sum_rows<scalar_t>(logits, probabilities, target); });
    const Objective objective = objective_of(rows, logits, target, options);
    context->save_for_backward({probabilities, target, objective.overlap, objective.volume});
    context->saved_data["by_element"] = objective.by_element;
    return at::scalar_tensor(objective.value, logits.options());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const double factor = upstream[0].item<double>(), by_element = context->saved_data["by_element"].toDouble();
    const at::Tensor gradient = at::empty_like(saved[0]);
    AT_DISPATCH_FLOATING_TYPES(saved[0].scalar_type(), "region_loss_backward", [&] {
      const double *overlap = saved[2].const_data_ptr<double>(), *volume = saved[3].const_data_ptr<double>();
      const Layout rows = rows_of(saved[0]);
      for_each_chunk(rows, [&](std::int64_t, const Chunk& chunk) {
        const auto by_overlap = static_cast<scalar_t>(factor * overlap[chunk.sample]);
        const auto by_volume = static_cast<scalar_t>(factor * volume[chunk.sample]);
        const auto by_difference = static_cast<scalar_t>(factor * by_element);
        const std::int64_t first = chunk.sample * rows.voxels + chunk.begin;
        const scalar_t* p = saved[0].const_data_ptr<scalar_t>() + first;
        scalar_t* out = gradient.mutable_data_ptr<scalar_t>() + first;
        const Expected<scalar_t> expected = expected_at<scalar_t>(saved[1], saved[0].size(1), chunk);
        with_counts(expected, [&, t = expected.target](const auto& counts) {
          for (std::int64_t n = 0; n < chunk.size; ++n)
            out[n] = counts(n) * (by_difference * (p[n] - t[n]) + (by_overlap * t[n] + by_volume) * p[n] * (1 - p[n]));
        });
      });
    });
    return {gradient, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor fused_region_loss(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options) {
  return FusedRegionLoss::apply(logits.contiguous(), target.contiguous(), options);
}

at::Tensor composite_region_loss(const at::Tensor& logits, const at::Tensor& target, const LossOptions& options) {
  const std::vector<std::int64_t> summed =
      options.batch_dice ? std::vector<std::int64_t>{0, 2} : std::vector<std::int64_t>{2};
  const std::int64_t regions = logits.size(1);
  const at::Tensor counts =
      target.size(1) > regions ? 1 - target.narrow(1, regions, 1) : at::ones({}, logits.options());
  const at::Tensor expected = target.narrow(1, 0, regions), predicted = logits.sigmoid() * counts;
  const at::Tensor overlap = (predicted * expected).sum(summed),
                   volume = predicted.sum(summed) + (expected * counts).sum(summed);
  const at::Tensor each = at::binary_cross_entropy_with_logits(logits, expected, {}, {}, at::Reduction::None);
  const at::Tensor cross_entropy = (each * counts).sum() / cross_entropy_divisor(logits, target);
  return options.cross_entropy_weight * cross_entropy - options.dice_weight * dice_of(overlap, volume).mean();
}

}  // namespace m3d
