#include "datasets/phantom/shapes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace m3d::phantom {
namespace {

Point normalized(const Point& a) { return (1.0 / length(a)) * a; }

Point to_frame(const Frame& frame, const Point& offset) {
  return {dot(frame[0], offset), dot(frame[1], offset), dot(frame[2], offset)};
}

double distance_to_segment(const Point& p, const Point& a, const Point& b) {
  const Point along = b - a;
  const double square = dot(along, along);
  const double t = square > 0 ? std::clamp(dot(p - a, along) / square, 0.0, 1.0) : 0.0;
  return length(p - (a + t * along));
}

double smallest(const Point& p) { return std::min({p[0], p[1], p[2]}); }

/// With radii a ≥ b ≥ c an ellipsoid lies within c of an ellipse with half-axes a − c and b − c: five strips of it.
std::vector<Capsule> hull_of_ellipsoid(const Point& centre, const Point& radii, const Frame& frame) {
  std::array<std::size_t, 3> order = {0, 1, 2};
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return radii[i] > radii[j]; });
  const double thin = radii[order[2]], half_long = radii[order[0]] - thin, half_wide = radii[order[1]] - thin;
  std::vector<Capsule> hull;
  for (int strip = -2; strip <= 2; ++strip) {
    const double inner_edge = std::max(0.0, 0.4 * std::abs(strip) - 0.2);
    const Point middle = centre + (0.4 * strip * half_wide) * frame[order[1]];
    const Point reach = (half_long * std::sqrt(1 - inner_edge * inner_edge)) * frame[order[0]];
    hull.push_back({middle - reach, middle + reach, thin + 0.2 * half_wide});
  }
  return hull;
}

}  // namespace

Point operator+(const Point& a, const Point& b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2]}; }
Point operator-(const Point& a, const Point& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
Point operator*(double scale, const Point& a) { return {scale * a[0], scale * a[1], scale * a[2]}; }
double dot(const Point& a, const Point& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
double length(const Point& a) { return std::sqrt(dot(a, a)); }

double gap_of_balls(const Capsule& first, const Capsule& second) {
  const double reach = 0.5 * (length(first.b - first.a) + length(second.b - second.a));
  return 0.5 * length(first.a + first.b - second.a - second.b) - reach - first.radius - second.radius;
}

double gap(const Capsule& first, const Capsule& second) {
  // Distance of two segments: it is convex along the first one, so a ternary search finds the nearest point.
  double low = 0, high = 1;
  const Point along = first.b - first.a;
  const auto at = [&](double t) { return distance_to_segment(first.a + t * along, second.a, second.b); };
  for (int step = 0; step < 24; ++step) {
    const double left = low + (high - low) / 3, right = high - (high - low) / 3;
    if (at(left) < at(right)) {
      high = right;
    } else {
      low = left;
    }
  }
  return at((low + high) / 2) - first.radius - second.radius;
}

Frame frame_along(int axis, double tilt, RandomStream& random) {
  const auto unit = [](int k) {
    Point p{};
    p[static_cast<std::size_t>(k % 3)] = 1;
    return p;
  };
  const double second_tilt = random.uniform(-tilt, tilt), third_tilt = random.uniform(-tilt, tilt);
  const Point first = normalized(unit(axis) + second_tilt * unit(axis + 1) + third_tilt * unit(axis + 2));
  const Point second = normalized(unit(axis + 1) - dot(unit(axis + 1), first) * first);
  const Point third = {first[1] * second[2] - first[2] * second[1], first[2] * second[0] - first[0] * second[2],
                       first[0] * second[1] - first[1] * second[0]};
  return {first, second, third};
}

Shape sphere(const Point& centre, double radius) {
  return {[=](const Point& p) { return length(p - centre) - radius; }, {{centre, centre, radius}}};
}

Shape ellipsoid(const Point& centre, const Point& radii, const Frame& frame) {
  // (k − 1)·(smallest radius) underestimates the distance, which is what Shape::distance promises.
  const double scale = smallest(radii);
  const auto distance = [=](const Point& p) {
    const Point q = to_frame(frame, p - centre);
    return (length({q[0] / radii[0], q[1] / radii[1], q[2] / radii[2]}) - 1) * scale;
  };
  return {distance, hull_of_ellipsoid(centre, radii, frame)};
}

Shape superellipsoid(const Point& centre, const Point& radii, int doublings) {
  // Squares and square roots only: std::pow would be most of the time that a case takes.
  const double scale = smallest(radii);
  const auto distance = [=](const Point& p) {
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      double power = (p[k] - centre[k]) / radii[k];
      for (int i = 0; i < doublings; ++i) power *= power;
      sum += power;
    }
    for (int i = 0; i < doublings; ++i) sum = std::sqrt(sum);
    return (sum - 1) * scale;
  };
  return {distance, {{centre, centre, length(radii)}}};
}

Shape rod(const Point& centre, const Frame& frame, double half_length, double half_width) {
  const auto distance = [=](const Point& p) {
    const Point q = to_frame(frame, p - centre);
    return std::max({std::abs(q[0]) - half_length, std::abs(q[1]) - half_width, std::abs(q[2]) - half_width});
  };
  const Point reach = half_length * frame[0];
  return {distance, {{centre - reach, centre + reach, std::sqrt(2.0) * half_width}}};
}

Shape tube(const std::vector<Point>& points, double radius) {
  Shape shape;
  for (std::size_t i = 1; i < points.size(); ++i) shape.hull.push_back({points[i - 1], points[i], radius});
  shape.distance = [points, radius](const Point& p) {
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 1; i < points.size(); ++i) {
      nearest = std::min(nearest, distance_to_segment(p, points[i - 1], points[i]));
    }
    return nearest - radius;
  };
  return shape;
}

Shape wall(const Shape& solid, double thickness) {
  return {[=, inner = solid.distance](const Point& p) {
            const double depth = inner(p);
            return std::max(depth, -depth - thickness);
          },
          solid.hull};
}

Shape unite(const std::vector<Shape>& shapes) {
  Shape result;
  for (const Shape& shape : shapes) result.hull.insert(result.hull.end(), shape.hull.begin(), shape.hull.end());
  result.distance = [shapes](const Point& p) {
    double nearest = std::numeric_limits<double>::infinity();
    for (const Shape& shape : shapes) nearest = std::min(nearest, shape.distance(p));
    return nearest;
  };
  return result;
}

Shape with_margin(Shape shape, double margin) {
  for (Capsule& capsule : shape.hull) capsule.radius += margin;
  return shape;
}

}  // namespace m3d::phantom
