#pragma once
// Solids by their distance functions, in millimetres along [D, H, W] from the centre of the first voxel.
#include <array>
#include <functional>
#include <vector>

#include "common/random.h"

namespace m3d::phantom {

using Point = std::array<double, 3>;

Point operator+(const Point& a, const Point& b);
Point operator-(const Point& a, const Point& b);
Point operator*(double scale, const Point& a);
double dot(const Point& a, const Point& b);
double length(const Point& a);

/// Points within `radius` of the segment a–b: the simple hull by which solids keep clear of each other.
struct Capsule {
  Point a{}, b{};
  double radius = 0;
};

/// Free space between two capsules; negative where they overlap.
double gap(const Capsule& first, const Capsule& second);
/// Never more than gap(), and much cheaper: the space between the balls around the capsules.
double gap_of_balls(const Capsule& first, const Capsule& second);

/// `distance` is negative inside and changes by at most 1 per mm; all of the solid lies within the capsules of `hull`.
struct Shape {
  std::function<double(const Point&)> distance;
  std::vector<Capsule> hull;
};

/// Rows are the orthonormal axes of a solid.
using Frame = std::array<Point, 3>;
inline constexpr Frame kUpright{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
/// A frame whose first axis is the volume's axis 0 (D), 1 (H) or 2 (W), tilted by at most about `tilt` radians.
Frame frame_along(int axis, double tilt, RandomStream& random);

Shape sphere(const Point& centre, double radius);
Shape ellipsoid(const Point& centre, const Point& radii, const Frame& frame = kUpright);
/// |d/rd|^n + |h/rh|^n + |w/rw|^n ≤ 1 with n = 2^doublings: an ellipsoid for 1, nearly a box for 3.
Shape superellipsoid(const Point& centre, const Point& radii, int doublings);
/// A bar with square cross-section, long along the first axis of `frame`.
Shape rod(const Point& centre, const Frame& frame, double half_length, double half_width);
/// A tube around a line of points.
Shape tube(const std::vector<Point>& points, double radius);
/// The wall of `solid`, `thickness` deep from its surface inwards.
Shape wall(const Shape& solid, double thickness);
/// The same solid with a hull `margin` larger: room for a deformation.
Shape with_margin(Shape shape, double margin);
Shape unite(const std::vector<Shape>& shapes);

}  // namespace m3d::phantom
