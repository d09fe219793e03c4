// Speed of what follows the network: surface distances of all classes of a case, and sliding-window inference. Not
// operators, but users wait for them all the same. Compiled into the program alone: they need rooms that kernel_samples
// does without.
#include <torch/torch.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels/benchmark/benchmark.h"
#include "kernels/benchmark/operator_problem.h"
#include "suite/evaluate/metrics.h"
#include "suite/infer/sliding_window.h"

namespace m3d::bench {
namespace {

constexpr int kStructures = 14;
constexpr double kTolerance_mm = 1;
using Point = std::array<double, 3>;  // mm along [D, H, W]

/// A ball of structure `label`, 1 … 14, on a grid of 4 x 2 x 2 places; the prediction's is moved and smaller.
struct Ball {
  Point centre;
  double radius;
  Ball(int label, bool prediction) {
    const int place = label - 1, moved = prediction ? 1 : 0;
    centre = {32.0 + 64 * (place % 4) + moved * (label % 3), 38.0 + 76 * (place / 4 % 2) + moved * (label % 4),
              38.0 + 76 * (place / 8) - moved * (label % 5)};
    radius = 21.0 - moved * 0.25 * (label % 6);
  }
  bool contains(const Point& at) const {
    const double dz = at[0] - centre[0], dy = at[1] - centre[1], dx = at[2] - centre[2];
    return dz * dz + dy * dy + dx * dx <= radius * radius;
  }
};

/// 128 x 192 x 192 voxels of 2 x 0.8 x 0.8 mm, the size of peers.md §6; scripts/compare-evaluation-peers makes the
/// same.
LabelImage structures(bool prediction) {
  LabelImage image;
  image.geometry.shape = {128, 192, 192};
  image.geometry.spacing_mm = {2, 0.8, 0.8};
  image.voxels.assign(static_cast<std::size_t>(voxel_count(image.shape())), 0);
  for (int label = 1; label <= kStructures; ++label) {
    const Ball ball(label, prediction);
    for (std::int64_t z = 0; z < image.shape()[0]; ++z)
      for (std::int64_t y = 0; y < image.shape()[1]; ++y)
        for (std::int64_t x = 0; x < image.shape()[2]; ++x)
          if (ball.contains({z * 2.0, y * 0.8, x * 0.8})) image.at(z, y, x) = static_cast<std::int16_t>(label);
  }
  return image;
}

std::vector<LabelClass> structure_classes() {
  std::vector<LabelClass> classes;
  for (int label = 1; label <= kStructures; ++label) classes.push_back({"structure " + std::to_string(label), {label}});
  return classes;
}

/// [14, 3]: Dice, HD95 (mm), NSD.
at::Tensor measured(const LabelImage& prediction, const LabelImage& reference, const std::vector<LabelClass>& classes) {
  const auto metrics = evaluate_case(prediction, reference, classes, kTolerance_mm);
  at::Tensor values = at::empty({kStructures, 3}, at::kDouble);
  for (int i = 0; i < kStructures; ++i) {
    const StructureMetrics& of = metrics[static_cast<std::size_t>(i)];
    values[i][0] = of.dice.value_or(std::nan(""));
    values[i][1] = of.hd95_mm.value_or(std::nan(""));
    values[i][2] = of.nsd.value_or(std::nan(""));
  }
  return values;
}

/// Voxels of the mask with a face neighbour outside it.
std::vector<Point> surface_points(const LabelImage& image, int label) {
  std::vector<Point> points;
  const Shape3& shape = image.shape();
  const auto inside = [&](std::int64_t z, std::int64_t y, std::int64_t x) {
    return z >= 0 && y >= 0 && x >= 0 && z < shape[0] && y < shape[1] && x < shape[2] && image.at(z, y, x) == label;
  };
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      for (std::int64_t x = 0; x < shape[2]; ++x)
        if (inside(z, y, x) && !(inside(z - 1, y, x) && inside(z + 1, y, x) && inside(z, y - 1, x) &&
                                 inside(z, y + 1, x) && inside(z, y, x - 1) && inside(z, y, x + 1)))
          points.push_back({z * 2.0, y * 0.8, x * 0.8});
  return points;
}

/// Every pair looked at: the plain form that the distance transform must agree with.
std::vector<double> nearest_distances(const std::vector<Point>& from, const std::vector<Point>& to) {
  std::vector<double> distances;
  for (const Point& a : from) {
    double nearest = std::numeric_limits<double>::infinity();
    for (const Point& b : to) {
      const double dz = a[0] - b[0], dy = a[1] - b[1], dx = a[2] - b[2];
      nearest = std::min(nearest, dz * dz + dy * dy + dx * dx);
    }
    distances.push_back(std::sqrt(nearest));
  }
  return distances;
}

/// The largest difference in mm of the HD95 of three structures from the plain form's.
double distance_error(const at::Tensor& values, const LabelImage& prediction, const LabelImage& reference) {
  double largest = 0;
  for (const int label : {1, 7, kStructures}) {
    const auto a = surface_points(prediction, label), b = surface_points(reference, label);
    const double expected = std::max(percentile(nearest_distances(a, b), 95), percentile(nearest_distances(b, a), 95));
    const double error = std::abs(values[label - 1][1].item<double>() - expected);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

void add_surface_distances(std::vector<Benchmark>& benchmarks) {
  benchmarks.push_back({"surface_distances/128x192x192/classes:14", [](at::Device) {
                          const auto prediction = std::make_shared<LabelImage>(structures(true));
                          const auto reference = std::make_shared<LabelImage>(structures(false));
                          const auto classes = structure_classes();
                          Problem problem;
                          problem.call = [=] { return Tensors{measured(*prediction, *reference, classes)}; };
                          problem.error = [=](const Tensors& results) {
                            return distance_error(results[0], *prediction, *reference);
                          };
                          problem.tolerance = 1e-4;
                          problem.work.elements = static_cast<double>(prediction->voxels.size());
                          problem.work.bytes = problem.work.elements * 2 * sizeof(std::int16_t);
                          return problem;
                        }});
}

/// A network that costs almost nothing, so that what is around it shows: 14 multiples of the image.
struct Window {
  Shape3 patch;
  at::Tensor image = torch::randn({1, 64, 256, 256}), factors = torch::randn({1, kStructures, 1, 1, 1});

  at::Tensor network(const at::Tensor& x) const { return x * factors; }
  SlidingWindowOptions options() const {
    SlidingWindowOptions options;
    options.patch = patch;
    return options;
  }
};

Problem window_problem(const Shape3& patch, bool network_alone) {
  torch::manual_seed(0);
  const Window window{patch};
  const SlidingWindowOptions options = window.options();
  Problem problem;
  problem.tolerance = 1e-5;
  problem.work.elements = static_cast<double>(window.image.numel() * kStructures);
  if (network_alone) {
    const std::int64_t tiles = tile_count({64, 256, 256}, options);
    const at::Tensor tile =
        window.image.narrow(2, 0, patch[1]).narrow(3, 0, patch[2]).narrow(1, 0, patch[0]).unsqueeze(0);
    problem.call = [=] {
      Tensors last(1);
      for (std::int64_t i = 0; i < tiles; ++i) {
        last[0] = at::Tensor();  // its memory is the next answer's, as in the whole
        last[0] = window.network(tile);
      }
      return last;
    };
    problem.error = [=](const Tensors& results) { return largest_relative_error(results, {tile * window.factors}); };
    problem.work.bytes = static_cast<double>(tiles * (kStructures + 1) * voxel_count(patch)) * sizeof(float);
    return problem;
  }
  problem.call = [=] {
    return Tensors{
        predict_logits([&](const at::Tensor& x) { return window.network(x); }, window.image, kStructures, options)};
  };
  // Weighted means of the same value are that value.
  problem.error = [=](const Tensors& results) {
    return largest_relative_error(results, {window.image * window.factors.squeeze(0)});
  };
  problem.work.bytes = problem.work.elements * sizeof(float);
  return problem;
}

void add_windows(std::vector<Benchmark>& benchmarks) {
  for (const Shape3& patch : {Shape3{64, 128, 128}, Shape3{32, 96, 96}})
    for (const bool network_alone : {true, false}) {
      const std::string name = std::string("sliding_window/") + (network_alone ? "network_alone" : "whole") +
                               "/S:64x256x256/patch:" + std::to_string(patch[0]) + "x" + std::to_string(patch[1]) +
                               "x" + std::to_string(patch[2]);
      benchmarks.push_back({name, [=](at::Device) { return window_problem(patch, network_alone); }});
    }
}

const Registration registered_distances(add_surface_distances);
const Registration registered_windows(add_windows);

}  // namespace
}  // namespace m3d::bench
