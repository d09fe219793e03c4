#pragma once
// A case before it is scanned: solids with intensities and labels, and how they become voxels.
#include <array>
#include <optional>
#include <vector>

#include "datasets/images/image.h"
#include "datasets/phantom/shapes.h"

namespace m3d::phantom {

/// A smooth displacement of the tissue: three plane waves, each some 40–90 mm long.
class Deformation {
 public:
  Deformation(double amplitude_mm, RandomStream& random);
  Point operator()(const Point& p) const;
  double amplitude_mm() const { return amplitude_mm_; }

 private:
  struct Wave {
    Point direction{}, frequency{};
    double phase = 0;
  };
  double amplitude_mm_;
  std::array<Wave, 3> waves_;
};

/// One intensity a channel.
using Signature = std::vector<double>;

struct Structure {
  int label = 0;  // 0: seen, not segmented
  Signature signature;
  Shape shape;
  bool deformed = true;  // probes are rigid, so that their size and direction stay what they are
};

/// Structures are painted in order, later ones over earlier ones.
struct Scene {
  Geometry geometry;
  Signature background;
  std::vector<Structure> structures;
};

struct RenderedScene {
  std::vector<ImageF> channels;
  LabelImage labels;
};

/// Voxels mix intensities by the share of each solid (partial volume); a label needs at least half of the voxel.
RenderedScene render(const Scene& scene, const Deformation& deformation);

/// Keeps solids apart inside a box.
class Packing {
 public:
  Packing(const Point& low, const Point& high, double clearance_mm)
      : low_(low), high_(high), clearance_mm_(clearance_mm) {}

  bool fits(const Shape& shape) const;
  void add(const Shape& shape);
  /// Calls `propose(centre)` with random centres between `low` and `high` until the shape fits, and adds it; nothing
  /// after `tries` proposals.
  template <class Propose>
  std::optional<Point> place(RandomStream& random, const Point& low, const Point& high, const Propose& propose,
                             int tries = 400) {
    for (int i = 0; i < tries; ++i) {
      const Point centre = {random.uniform(low[0], high[0]), random.uniform(low[1], high[1]),
                            random.uniform(low[2], high[2])};
      const Shape shape = propose(centre);
      if (!fits(shape)) continue;
      add(shape);
      return centre;
    }
    return std::nullopt;
  }
  const Point& low() const { return low_; }
  const Point& high() const { return high_; }

 private:
  Point low_, high_;
  double clearance_mm_;
  std::vector<Capsule> taken_;
};

}  // namespace m3d::phantom
