#include "suite/evaluate/metrics.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "suite/evaluate/distance_transform.h"
#include "suite/evaluate/label_rows.h"
#include "suite/evaluate/nearest_search.h"

namespace m3d {
namespace {

/// A half-open box of voxels; empty until extended.
struct Box {
  Shape3 begin{kLargest, kLargest, kLargest};
  Shape3 end{0, 0, 0};
  static constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

  void extend(const Shape3& first, const Shape3& past) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      begin[axis] = std::min(begin[axis], first[axis]);
      end[axis] = std::max(end[axis], past[axis]);
    }
  }
  Shape3 shape() const {
    return {std::max<std::int64_t>(0, end[0] - begin[0]), std::max<std::int64_t>(0, end[1] - begin[1]),
            std::max<std::int64_t>(0, end[2] - begin[2])};
  }
};

/// Numbers 1, 2, … for the label values that occur in classes, 0 for all others.
class LabelNumbers {
 public:
  explicit LabelNumbers(const std::vector<LabelClass>& classes) : number_(65536, 0) {
    for (const LabelClass& label_class : classes)
      for (const int value : label_class.values)
        if (std::uint16_t& number = number_[slot(value)]; number == 0) number = ++count_;
  }
  std::uint16_t of(int value) const { return number_[slot(value)]; }
  std::size_t count() const { return static_cast<std::size_t>(count_) + 1; }  // 0 included

 private:
  static std::size_t slot(int value) { return static_cast<std::uint16_t>(value); }
  std::vector<std::uint16_t> number_;
  std::uint16_t count_ = 0;
};

/// How often each pair of numbers meets, and the box that holds each number in either image.
struct Tally {
  std::size_t numbers;
  std::vector<std::int64_t> pairs;  // [prediction's number, reference's number]
  std::vector<Box> boxes;
};

/// One pass over both images, run by run.
Tally tally(const LabelImage& prediction, const LabelImage& reference, const LabelNumbers& numbers) {
  const Shape3& shape = reference.shape();
  Tally result{numbers.count(), std::vector<std::int64_t>(numbers.count() * numbers.count()),
               std::vector<Box>(numbers.count())};
  for (std::int64_t z = 0; z < shape[0]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      const std::int16_t* predicted = &prediction.at(z, y, 0);
      const std::int16_t* expected = &reference.at(z, y, 0);
      for (std::int64_t x = 0, past = 0; x < shape[2]; x = past) {
        past = run_end(predicted, expected, x, shape[2]);
        const std::uint16_t i = numbers.of(predicted[x]), j = numbers.of(expected[x]);
        result.pairs[i * result.numbers + j] += past - x;
        if (i > 0) result.boxes[i].extend({z, y, x}, {z + 1, y + 1, past});
        if (j > 0 && j != i) result.boxes[j].extend({z, y, x}, {z + 1, y + 1, past});
      }
    }
  }
  return result;
}

void check_shapes(const LabelImage& prediction, const LabelImage& reference) {
  if (prediction.shape() != reference.shape())
    throw std::invalid_argument("metrics of images of different shapes: " + describe(prediction.geometry) + " and " +
                                describe(reference.geometry));
}

std::vector<char> members(const LabelClass& label_class, const LabelNumbers& numbers) {
  std::vector<char> is_member(numbers.count(), 0);
  for (const int value : label_class.values) is_member[numbers.of(value)] = 1;
  return is_member;
}

StructureMetrics count_overlap(const LabelClass& label_class, const LabelNumbers& numbers, const Tally& counts) {
  const std::vector<char> is_member = members(label_class, numbers);
  StructureMetrics metrics;
  for (std::size_t i = 0; i < counts.numbers; ++i) {
    for (std::size_t j = 0; j < counts.numbers; ++j) {
      const std::int64_t voxels = counts.pairs[i * counts.numbers + j];
      if (is_member[i])
        (is_member[j] ? metrics.true_positive : metrics.false_positive) += voxels;
      else
        (is_member[j] ? metrics.false_negative : metrics.true_negative) += voxels;
    }
  }
  return metrics;
}

/// Appends first + i for every marked place i. The length of `marks` is a multiple of eight.
void append_marked(const std::vector<std::uint8_t>& marks, std::int64_t first, std::vector<std::int64_t>& places) {
  for (std::size_t i = 0; i < marks.size(); i += sizeof(std::uint64_t)) {
    std::uint64_t several = 0;
    std::memcpy(&several, marks.data() + i, sizeof several);
    if (several == 0) continue;
    for (std::size_t j = i; j < i + sizeof several; ++j)
      if (marks[j]) places.push_back(first + static_cast<std::int64_t>(j));
  }
}

/// Indices (row-major, ascending) into `box` of the voxels of a class that have a face neighbour which is of another or
/// beyond the box, which holds the whole class.
std::vector<std::int64_t> surface_in_box(const LabelImage& image, const LabelClass& label_class, const Box& box) {
  constexpr std::int64_t word = sizeof(std::uint64_t);
  const Shape3 shape = box.shape();
  // A margin on all sides, so that no voxel lacks a neighbour.
  const std::int64_t row = (shape[2] + 2 + word - 1) / word * word, plane = (shape[1] + 2) * row;
  std::vector<std::uint8_t> mask(static_cast<std::size_t>((shape[0] + 2) * plane)),
      on_surface(static_cast<std::size_t>(row));
  const auto mask_row = [&](std::int64_t z, std::int64_t y) {
    return mask.data() + (z + 1) * plane + (y + 1) * row + 1;
  };
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      mark_members(&image.at(box.begin[0] + z, box.begin[1] + y, box.begin[2]), shape[2], label_class.values,
                   mask_row(z, y));
  std::vector<std::int64_t> surface;
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      mark_surface(mask_row(z, y), shape[2], row, plane, on_surface.data());
      append_marked(on_surface, (z * shape[1] + y) * shape[2], surface);
    }
  return surface;
}

/// distances_to, by the search where the surfaces lie close to each other, else by the transform.
std::vector<double> nearest_distances(const std::vector<std::int64_t>& seeds, const std::vector<std::int64_t>& queries,
                                      const Shape3& shape, const std::array<double, 3>& spacing_mm) {
  std::optional<std::vector<double>> found = distances_by_search(seeds, queries, shape, spacing_mm);
  return found ? std::move(*found) : distances_to(seeds, queries, shape, spacing_mm);
}

SurfaceDistances class_distances(const LabelImage& prediction, const LabelImage& reference,
                                 const LabelClass& label_class, const Box& box) {
  const std::vector<std::int64_t> predicted = surface_in_box(prediction, label_class, box);
  const std::vector<std::int64_t> expected = surface_in_box(reference, label_class, box);
  if (predicted.empty() || expected.empty()) return {};
  const std::array<double, 3>& spacing = reference.geometry.spacing_mm;
  return {nearest_distances(expected, predicted, box.shape(), spacing),
          nearest_distances(predicted, expected, box.shape(), spacing)};
}

std::vector<Box> class_boxes(const std::vector<LabelClass>& classes, const LabelNumbers& numbers, const Tally& counts) {
  std::vector<Box> boxes(classes.size());
  for (std::size_t i = 0; i < classes.size(); ++i)
    for (const int value : classes[i].values) {
      const Box& box = counts.boxes[numbers.of(value)];
      if (voxel_count(box.shape()) > 0) boxes[i].extend(box.begin, box.end);
    }
  return boxes;
}

/// Runs `work(i)` for every class, large boxes first, on all cores. Each result depends on its own class alone.
template <class Work>
void for_each_class(const std::vector<Box>& boxes, Work work) {
  std::vector<std::size_t> order(boxes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return voxel_count(boxes[a].shape()) > voxel_count(boxes[b].shape());
  });
  std::atomic<std::size_t> next{0};
  const auto worker = [&] {
    for (std::size_t i = next++; i < order.size(); i = next++) work(order[i]);
  };
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < std::min(cores, boxes.size()); ++i) others.emplace_back(worker);
  worker();
}

std::vector<SurfaceDistances> distances_of_classes(const LabelImage& prediction, const LabelImage& reference,
                                                   const std::vector<LabelClass>& classes,
                                                   const std::vector<Box>& boxes) {
  std::vector<SurfaceDistances> distances(classes.size());
  for_each_class(boxes, [&](std::size_t i) {
    if (voxel_count(boxes[i].shape()) > 0) distances[i] = class_distances(prediction, reference, classes[i], boxes[i]);
  });
  return distances;
}

/// Share of the surface voxels of both masks that lie within the tolerance of the other's surface. The slack is what
/// the rounding of a float32 header's spacing can add to a distance.
double surface_dice(const SurfaceDistances& distances, double tolerance_mm) {
  const double limit = tolerance_mm * (1 + 1e-6);
  const auto within = [limit](double distance) { return distance <= limit; };
  const auto near_voxels =
      std::count_if(distances.prediction_to_reference.begin(), distances.prediction_to_reference.end(), within) +
      std::count_if(distances.reference_to_prediction.begin(), distances.reference_to_prediction.end(), within);
  const std::size_t all = distances.prediction_to_reference.size() + distances.reference_to_prediction.size();
  return static_cast<double>(near_voxels) / static_cast<double>(all);
}

void add_quotients(StructureMetrics& metrics, const SurfaceDistances& distances, double nsd_tolerance_mm) {
  const std::int64_t voxels = metrics.prediction_voxels() + metrics.reference_voxels();
  if (voxels == 0) return;
  metrics.dice = 2.0 * static_cast<double>(metrics.true_positive) / static_cast<double>(voxels);
  metrics.nsd = 0.0;
  if (distances.prediction_to_reference.empty()) return;
  metrics.hd95_mm =
      std::max(percentile(distances.prediction_to_reference, 95), percentile(distances.reference_to_prediction, 95));
  metrics.nsd = surface_dice(distances, nsd_tolerance_mm);
}

}  // namespace

double percentile(std::vector<double> values, double p) {
  const double rank = static_cast<double>(values.size() - 1) * p / 100.0;
  const auto lower = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), lower, values.end());
  if (lower + 1 == values.end()) return *lower;
  const double above = *std::min_element(lower + 1, values.end());
  return *lower + (rank - std::floor(rank)) * (above - *lower);
}

std::vector<SurfaceDistances> surface_distances(const LabelImage& prediction, const LabelImage& reference,
                                                const std::vector<LabelClass>& classes) {
  check_shapes(prediction, reference);
  const LabelNumbers numbers(classes);
  return distances_of_classes(prediction, reference, classes,
                              class_boxes(classes, numbers, tally(prediction, reference, numbers)));
}

std::vector<StructureMetrics> evaluate_case(const LabelImage& prediction, const LabelImage& reference,
                                            const std::vector<LabelClass>& classes, double nsd_tolerance_mm) {
  check_shapes(prediction, reference);
  const LabelNumbers numbers(classes);
  const Tally counts = tally(prediction, reference, numbers);
  const std::vector<SurfaceDistances> distances =
      distances_of_classes(prediction, reference, classes, class_boxes(classes, numbers, counts));
  std::vector<StructureMetrics> metrics;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    metrics.push_back(count_overlap(classes[i], numbers, counts));
    add_quotients(metrics.back(), distances[i], nsd_tolerance_mm);
  }
  return metrics;
}

double diagonal_mm(const Geometry& geometry) {
  double squared = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double extent = static_cast<double>(geometry.shape[axis]) * geometry.spacing_mm[axis];
    squared += extent * extent;
  }
  return std::sqrt(squared);
}

}  // namespace m3d
