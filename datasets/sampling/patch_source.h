#pragma once
// Where patches come from: a prepared case in memory, or its file in a preprocessed cache (case_store.h).
#include <cstdint>
#include <memory>
#include <vector>

#include "datasets/images/image.h"

namespace m3d {

struct PreparedCase;

/// Arrays that a box of a case is written into: `image` [C, shape] float32, `labels` [shape] and, unless null,
/// `previous` [shape], the segmentation of a cascade's first stage; the box's first voxel goes to `offset`. What the
/// box does not cover is left as it is.
struct PatchTarget {
  float* image = nullptr;
  std::int16_t* labels = nullptr;
  Shape3 shape{};
  Shape3 offset{};
  std::int16_t* previous = nullptr;
};

/// Voxel indices (row-major) of each class of the dataset that is present; empty lists for the others.
using ClassLocations = std::vector<std::vector<std::int64_t>>;

/// A case to cut patches from. Any number of threads may read at once.
class PatchSource {
 public:
  virtual ~PatchSource() = default;
  virtual Shape3 shape() const = 0;
  virtual std::int64_t channels() const = 0;
  /// Whether PatchTarget::previous is filled.
  virtual bool has_previous_stage() const { return false; }
  virtual std::shared_ptr<const ClassLocations> class_locations() const = 0;
  /// Voxels that an annotator looked at; null or empty unless the dataset has an ignore label.
  virtual std::shared_ptr<const std::vector<std::int64_t>> annotated_locations() const = 0;
  /// Copies the box of `size` voxels at `begin`, which lies within the case. Throws RunError where a file is damaged.
  virtual void read(const Shape3& begin, const Shape3& size, const PatchTarget& target) const = 0;
};

std::shared_ptr<const PatchSource> in_memory_source(std::shared_ptr<const PreparedCase> prepared);

}  // namespace m3d
