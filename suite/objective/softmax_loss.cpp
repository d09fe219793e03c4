#include "suite/objective/softmax_loss.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "suite/objective/chunks.h"
#include "suite/objective/dice.h"

namespace m3d {
namespace {

/// What the loss needs of a sample (or chunk), by class: sums over voxels that count.
struct Sums {
  explicit Sums(std::int64_t classes)
      : intersection(static_cast<std::size_t>(classes)), predicted(intersection), expected(intersection) {}
  void add(const Sums& other) {
    for (std::size_t k = 0; k < predicted.size(); ++k) {
      intersection[k] += other.intersection[k];
      predicted[k] += other.predicted[k];
      expected[k] += other.expected[k];
    }
    cross_entropy += other.cross_entropy;
    voxels += other.voxels;
  }
  std::vector<double> intersection, predicted, expected;
  double cross_entropy = 0;
  double voxels = 0;
};

/// -log of the softmax at `expected` where the probability itself is too small to carry it.
template <class T>
double exact_cross_entropy(const T* logits, std::int64_t classes, std::int64_t stride, std::int64_t expected) {
  double largest = logits[0], sum = 0;
  for (std::int64_t k = 1; k < classes; ++k) largest = std::max<double>(largest, logits[k * stride]);
  for (std::int64_t k = 0; k < classes; ++k) sum += std::exp(logits[k * stride] - largest);
  return largest + std::log(sum) - logits[expected * stride];
}

/// Views of one sample of the tensors, and the rule which voxels count.
template <class T>
struct Sample {
  const T* logits;
  const T* probabilities;
  const std::int64_t* target;
  std::int64_t ignored;  // -1: none
};

template <class T>
Sums sum_chunk(const Sample<T>& sample, const Layout& layout, const Chunk& chunk) {
  Sums sums(layout.classes);
  const std::int64_t stride = layout.voxels;
  for (std::int64_t k = 0; k < layout.classes; ++k)
    sums.predicted[static_cast<std::size_t>(k)] = sum_of_each(
        chunk.size, [p = sample.probabilities + k * stride + chunk.begin](std::int64_t n) { return p[n]; });
  for (std::int64_t n = chunk.begin; n < chunk.begin + chunk.size; ++n) {
    const std::int64_t expected = sample.target[n];
    const T* probability = sample.probabilities + n;
    if (expected == sample.ignored) {
      for (std::int64_t k = 0; k < layout.classes; ++k)
        sums.predicted[static_cast<std::size_t>(k)] -= static_cast<double>(probability[k * stride]);
      continue;
    }
    if (expected < 0 || expected >= layout.classes)
      throw std::invalid_argument("segmentation_loss: class index " + std::to_string(expected) + " with " +
                                  std::to_string(layout.classes) + " channels");
    const double p = static_cast<double>(probability[expected * stride]);
    sums.intersection[static_cast<std::size_t>(expected)] += p;
    sums.expected[static_cast<std::size_t>(expected)] += 1;
    sums.cross_entropy +=
        p > 1e-30 ? -std::log(p) : exact_cross_entropy(sample.logits + n, layout.classes, stride, expected);
    sums.voxels += 1;
  }
  return sums;
}

template <class T>
Sample<T> sample_at(const at::Tensor& logits, const at::Tensor& probabilities, const at::Tensor& target,
                    const LossOptions& options, const Layout& layout, std::int64_t sample) {
  const std::int64_t offset = sample * layout.classes * layout.voxels;
  return {logits.const_data_ptr<T>() + offset, probabilities.const_data_ptr<T>() + offset,
          target.const_data_ptr<std::int64_t>() + sample * layout.voxels, options.ignore_label.value_or(-1)};
}

/// By sample; chunks are added in their order.
template <class T>
std::vector<Sums> sum_samples(const at::Tensor& logits, const at::Tensor& probabilities, const at::Tensor& target,
                              const LossOptions& options, const Layout& layout) {
  std::vector<Sums> chunks(static_cast<std::size_t>(layout.chunks()), Sums(layout.classes));
  at::parallel_for(0, layout.chunks(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Chunk chunk = chunk_at(layout, i);
      chunks[static_cast<std::size_t>(i)] =
          sum_chunk(sample_at<T>(logits, probabilities, target, options, layout, chunk.sample), layout, chunk);
    }
  });
  std::vector<Sums> samples(static_cast<std::size_t>(layout.batch), Sums(layout.classes));
  for (std::int64_t i = 0; i < layout.chunks(); ++i)
    samples[static_cast<std::size_t>(chunk_at(layout, i).sample)].add(chunks[static_cast<std::size_t>(i)]);
  return samples;
}

/// Value of the loss, and its derivative by the probabilities: overlap + volume of [b][k] where class k is expected,
/// the volume alone elsewhere; and `by_voxel`, the factor of (p - [expected]) in the derivative by the logits.
struct Objective {
  double value = 0;
  at::Tensor overlap, volume;  // [B, K] float64
  double by_voxel = 0;
};

Objective objective_of(const std::vector<Sums>& samples, const Layout& layout, const LossOptions& options) {
  Sums all(layout.classes);
  for (const Sums& sample : samples) all.add(sample);
  Objective objective;
  objective.overlap = at::zeros({layout.batch, layout.classes}, at::kDouble);
  objective.volume = at::zeros_like(objective.overlap);
  auto overlap = objective.overlap.accessor<double, 2>(), volume = objective.volume.accessor<double, 2>();
  const double terms = static_cast<double>((layout.classes - 1) * (options.batch_dice ? 1 : layout.batch));
  for (std::int64_t b = 0; b < layout.batch; ++b) {
    const Sums& sums = options.batch_dice ? all : samples[static_cast<std::size_t>(b)];
    for (std::int64_t k = 1; k < layout.classes; ++k) {
      const auto i = static_cast<std::size_t>(k);
      const DiceTerm term =
          dice_term(sums.intersection[i], sums.predicted[i], sums.expected[i], options.dice_weight, terms);
      if (b == 0 || !options.batch_dice) objective.value += term.loss;
      overlap[b][k] = term.overlap;
      volume[b][k] = term.volume;
    }
  }
  if (all.voxels > 0) {
    objective.by_voxel = options.cross_entropy_weight / all.voxels;
    objective.value += objective.by_voxel * all.cross_entropy;
  }
  return objective;
}

/// What the backward pass reads of one sample: probabilities and target from a chunk's first voxel on, factors by
/// class.
template <class T>
struct Slope {
  const T* probabilities;
  const std::int64_t* target;
  const double* overlap;
  const double* volume;
  double by_voxel;
  std::int64_t ignored;  // -1: none
};

/// gradient[k] = p[k] (volume[k] + c - s), plus p[t] overlap[t] - c at the expected class t, where
/// s = Σ p[k] volume[k] + p[t] overlap[t] is the softmax's coupling. `coupling` is scratch of kChunk values.
template <class T>
void differentiate_chunk(const Slope<T>& slope, const Layout& layout, std::int64_t size, T* coupling, T* gradient) {
  const std::int64_t stride = layout.voxels;
  const std::int64_t* target = slope.target;
  const T by_voxel = static_cast<T>(slope.by_voxel);
  std::fill(coupling, coupling + size, T(0));
  for (std::int64_t k = 0; k < layout.classes; ++k) {
    const T factor = static_cast<T>(slope.volume[k]);
    for (std::int64_t n = 0; n < size; ++n) coupling[n] += factor * slope.probabilities[k * stride + n];
  }
  const auto overlap_term = [&](std::int64_t n) {
    return static_cast<T>(slope.overlap[target[n]]) * slope.probabilities[target[n] * stride + n];
  };
  for (std::int64_t n = 0; n < size; ++n)
    if (target[n] != slope.ignored) coupling[n] += overlap_term(n);
  for (std::int64_t k = 0; k < layout.classes; ++k) {
    const T factor = static_cast<T>(slope.volume[k]) + by_voxel;
    for (std::int64_t n = 0; n < size; ++n)
      gradient[k * stride + n] = slope.probabilities[k * stride + n] * (factor - coupling[n]);
  }
  for (std::int64_t n = 0; n < size; ++n) {
    if (target[n] != slope.ignored) {
      gradient[target[n] * stride + n] += overlap_term(n) - by_voxel;
    } else {
      for (std::int64_t k = 0; k < layout.classes; ++k) gradient[k * stride + n] = 0;
    }
  }
}

template <class T>
at::Tensor differentiate(const at::Tensor& probabilities, const at::Tensor& target, const Objective& objective,
                         std::int64_t ignored, const Layout& layout) {
  at::Tensor gradient = at::empty_like(probabilities);
  T* out = gradient.mutable_data_ptr<T>();
  const T* in = probabilities.const_data_ptr<T>();
  const auto* expected = target.const_data_ptr<std::int64_t>();
  const double *overlap = objective.overlap.const_data_ptr<double>(),
               *volume = objective.volume.const_data_ptr<double>();
  at::parallel_for(0, layout.chunks(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> coupling(static_cast<std::size_t>(kChunk));
    for (std::int64_t i = begin; i < end; ++i) {
      const Chunk chunk = chunk_at(layout, i);
      const std::int64_t offset = chunk.sample * layout.classes * layout.voxels + chunk.begin;
      const std::int64_t row = chunk.sample * layout.classes;
      const Slope<T> slope{in + offset,        expected + chunk.sample * layout.voxels + chunk.begin,
                           overlap + row,      volume + row,
                           objective.by_voxel, ignored};
      differentiate_chunk(slope, layout, chunk.size, coupling.data(), out + offset);
    }
  });
  return gradient;
}

class FusedSoftmaxLoss : public torch::autograd::Function<FusedSoftmaxLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& target, const LossOptions& options) {
    const at::Tensor probabilities = at::softmax(logits, 1);
    const Layout layout = layout_of(logits);
    Objective objective;
    AT_DISPATCH_FLOATING_TYPES(logits.scalar_type(), "softmax_loss", [&] {
      objective = objective_of(sum_samples<scalar_t>(logits, probabilities, target, options, layout), layout, options);
    });
    context->save_for_backward({probabilities, target, objective.overlap, objective.volume});
    context->saved_data["by_voxel"] = objective.by_voxel;
    context->saved_data["ignored"] = options.ignore_label.value_or(-1);
    return at::scalar_tensor(objective.value, logits.options());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const double factor = upstream[0].item<double>();
    Objective objective;
    objective.overlap = saved[2] * factor;
    objective.volume = saved[3] * factor;
    objective.by_voxel = context->saved_data["by_voxel"].toDouble() * factor;
    const std::int64_t ignored = context->saved_data["ignored"].toInt();
    at::Tensor gradient;
    AT_DISPATCH_FLOATING_TYPES(saved[0].scalar_type(), "softmax_loss_backward", [&] {
      gradient = differentiate<scalar_t>(saved[0], saved[1], objective, ignored, layout_of(saved[0]));
    });
    return {gradient, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor fused_softmax_loss(const at::Tensor& logits, const at::Tensor& classes, const LossOptions& options) {
  return FusedSoftmaxLoss::apply(logits.contiguous(), classes.contiguous(), options);
}

at::Tensor composite_softmax_loss(const at::Tensor& logits, const at::Tensor& classes, const LossOptions& options) {
  const std::int64_t ignored = options.ignore_label.value_or(-1);
  const at::Tensor counted = classes != ignored;
  const at::Tensor log_probabilities = at::log_softmax(logits, 1);
  const at::Tensor expected = at::zeros_like(logits).scatter_(1, (classes * counted).unsqueeze(1), 1) *
                              counted.unsqueeze(1).to(logits.scalar_type());
  const at::Tensor predicted = log_probabilities.exp() * counted.unsqueeze(1);
  const std::vector<std::int64_t> summed =
      options.batch_dice ? std::vector<std::int64_t>{0, 2} : std::vector<std::int64_t>{2};
  const at::Tensor overlap = (predicted * expected).sum(summed), volume = predicted.sum(summed) + expected.sum(summed);
  const at::Tensor foreground = dice_of(overlap, volume).narrow(-1, 1, logits.size(1) - 1).mean();
  const at::Tensor cross_entropy = -(log_probabilities * expected).sum() / counted.sum().clamp_min(1);
  return options.cross_entropy_weight * cross_entropy - options.dice_weight * foreground;
}

}  // namespace m3d
