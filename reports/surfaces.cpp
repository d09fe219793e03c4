#include "reports/surfaces.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace m3d::reports {
namespace {

constexpr int kSmoothingRounds = 8;
constexpr double kShrink = 0.5, kGrow = -0.53;  // Taubin's pass band of 0.1
constexpr double kAmbient = 0.42;
constexpr std::size_t kSupersampling = 2;
constexpr double kAzimuth = std::numbers::pi / 6, kElevation = std::numbers::pi / 9;

Point3 operator+(const Point3& a, const Point3& b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2]}; }
Point3 operator-(const Point3& a, const Point3& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
Point3 operator*(double factor, const Point3& a) { return {factor * a[0], factor * a[1], factor * a[2]}; }
double dot(const Point3& a, const Point3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
Point3 cross(const Point3& a, const Point3& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
Point3 unit(const Point3& a) {
  const double length = std::sqrt(dot(a, a));
  return length > 0 ? (1 / length) * a : a;
}

/// Moves every point by `share` of the way to the mean of its neighbours.
void laplacian_step(Surface& surface, double share) {
  std::vector<Point3> sums(surface.points.size(), Point3{});
  std::vector<double> counts(surface.points.size(), 0);
  // In a closed surface every edge is there in both directions, so that each end sees the other once.
  for (const auto& triangle : surface.triangles)
    for (std::size_t i = 0; i < 3; ++i) {
      const std::uint32_t from = triangle[i], to = triangle[(i + 1) % 3];
      sums[from] = sums[from] + surface.points[to];
      ++counts[from];
    }
  for (std::size_t i = 0; i < sums.size(); ++i)
    if (counts[i] > 0) surface.points[i] = surface.points[i] + share * ((1 / counts[i]) * sums[i] - surface.points[i]);
}

/// The corners' vectors whose length is twice the triangle's area, pointing outwards.
Point3 area_vector(const Surface& surface, const std::array<std::uint32_t, 3>& triangle) {
  const Point3& origin = surface.points[triangle[0]];
  return cross(surface.points[triangle[1]] - origin, surface.points[triangle[2]] - origin);
}

/// Right, up and towards the viewer on the screen, in the LPS frame: the patient's left is on the right.
struct Camera {
  Point3 right, up, viewer;
};

const Camera& camera() {
  static const Camera fixed = [] {
    const Point3 viewer = {std::sin(kAzimuth) * std::cos(kElevation), -std::cos(kAzimuth) * std::cos(kElevation),
                           std::sin(kElevation)};
    const Point3 right = unit(cross({0, 0, 1}, viewer));
    return Camera{right, cross(viewer, right), viewer};
  }();
  return fixed;
}

/// A corner on the screen: pixels from the left and from the top, nearness, and how much light it gives back.
struct Corner {
  double x, y, nearness, light;
};

std::vector<Corner> corners_of(const Surface& surface, const ViewFrame& frame, double pixels_per_mm) {
  const Camera& view = camera();
  const Point3 lamp = unit(view.viewer + 0.6 * view.up - 0.5 * view.right);
  std::vector<Point3> normals(surface.points.size(), Point3{});
  for (const auto& triangle : surface.triangles)
    for (const std::uint32_t corner : triangle) normals[corner] = normals[corner] + area_vector(surface, triangle);
  std::vector<Corner> corners;
  for (std::size_t i = 0; i < normals.size(); ++i) {
    const Point3& point = surface.points[i];
    corners.push_back({(dot(point, view.right) - frame.left) * pixels_per_mm,
                       (frame.top - dot(point, view.up)) * pixels_per_mm, dot(point, view.viewer),
                       kAmbient + (1 - kAmbient) * std::max(0.0, dot(unit(normals[i]), lamp))});
  }
  return corners;
}

/// Twice the signed area of a, b and the place (x, y).
double side(const Corner& a, const Corner& b, double x, double y) {
  return (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x);
}

class Canvas {
 public:
  Canvas(std::size_t width, std::size_t height)
      : picture_(width, height, {255, 255, 255}), nearness_(width * height, -std::numeric_limits<double>::infinity()) {}

  void draw(const ColouredSurface& coloured, const ViewFrame& frame, double pixels_per_mm) {
    const std::vector<Corner> corners = corners_of(coloured.surface, frame, pixels_per_mm);
    for (const auto& triangle : coloured.surface.triangles)
      draw(corners[triangle[0]], corners[triangle[1]], corners[triangle[2]], coloured.colour);
  }

  /// Means over squares of kSupersampling pixels.
  Raster reduced() const {
    Raster small(picture_.width / kSupersampling, picture_.height / kSupersampling, {});
    for (std::size_t y = 0; y < small.height; ++y)
      for (std::size_t x = 0; x < small.width; ++x) small.at(x, y) = mean_at(x * kSupersampling, y * kSupersampling);
    return small;
  }

 private:
  void draw(const Corner& a, const Corner& b, const Corner& c, const Rgb& colour) {
    const double whole = side(a, b, c.x, c.y);
    if (whole == 0) return;
    const auto [left, right] = pixels(std::min({a.x, b.x, c.x}), std::max({a.x, b.x, c.x}), picture_.width);
    const auto [top, bottom] = pixels(std::min({a.y, b.y, c.y}), std::max({a.y, b.y, c.y}), picture_.height);
    for (std::size_t y = top; y < bottom; ++y)
      for (std::size_t x = left; x < right; ++x) {
        const double px = static_cast<double>(x) + 0.5, py = static_cast<double>(y) + 0.5;
        const double u = side(b, c, px, py) / whole, v = side(c, a, px, py) / whole, w = 1 - u - v;
        if (u < 0 || v < 0 || w < 0) continue;
        set(x, y, u * a.nearness + v * b.nearness + w * c.nearness, u * a.light + v * b.light + w * c.light, colour);
      }
  }

  /// The pixels whose centres may lie between two places, the last one excluded.
  static std::array<std::size_t, 2> pixels(double from, double to, std::size_t count) {
    const auto limit = static_cast<double>(count);
    return {static_cast<std::size_t>(std::clamp(std::floor(from - 0.5), 0.0, limit)),
            static_cast<std::size_t>(std::clamp(std::ceil(to + 0.5), 0.0, limit))};
  }

  void set(std::size_t x, std::size_t y, double nearness, double light, const Rgb& colour) {
    double& nearest = nearness_[y * picture_.width + x];
    if (nearness <= nearest) return;
    nearest = nearness;
    for (std::size_t i = 0; i < 3; ++i)
      picture_.at(x, y)[i] = static_cast<std::uint8_t>(std::lround(std::clamp(light * colour[i], 0.0, 255.0)));
  }

  Rgb mean_at(std::size_t left, std::size_t top) const {
    Rgb mean{};
    constexpr std::size_t count = kSupersampling * kSupersampling;
    for (std::size_t i = 0; i < 3; ++i) {
      std::size_t sum = 0;
      for (std::size_t k = 0; k < count; ++k)
        sum += picture_.at(left + k % kSupersampling, top + k / kSupersampling)[i];
      mean[i] = static_cast<std::uint8_t>((sum + count / 2) / count);
    }
    return mean;
  }

  Raster picture_;
  std::vector<double> nearness_;
};

}  // namespace

LabelImage thinned(const LabelImage& labels, std::int64_t most_voxels) {
  Shape3 stride = {1, 1, 1};
  LabelImage thin;
  thin.geometry = labels.geometry;
  Geometry& geometry = thin.geometry;
  while (voxel_count(geometry.shape) > most_voxels) {
    std::size_t finest = 0;
    for (std::size_t axis = 1; axis < 3; ++axis)
      if (geometry.spacing_mm[axis] < geometry.spacing_mm[finest]) finest = axis;
    ++stride[finest];
    geometry.spacing_mm[finest] = labels.geometry.spacing_mm[finest] * static_cast<double>(stride[finest]);
    geometry.shape[finest] = (labels.shape()[finest] + stride[finest] - 1) / stride[finest];
  }
  thin.voxels.reserve(static_cast<std::size_t>(voxel_count(geometry.shape)));
  for (std::int64_t z = 0; z < labels.shape()[0]; z += stride[0])
    for (std::int64_t y = 0; y < labels.shape()[1]; y += stride[1])
      for (std::int64_t x = 0; x < labels.shape()[2]; x += stride[2]) thin.voxels.push_back(labels.at(z, y, x));
  return thin;
}

void smooth(Surface& surface) {
  for (int round = 0; round < kSmoothingRounds; ++round)
    for (const double share : {kShrink, kGrow}) laplacian_step(surface, share);
}

double area_mm2(const Surface& surface) {
  double area = 0;
  for (const auto& triangle : surface.triangles) {
    const Point3 vector = area_vector(surface, triangle);
    area += 0.5 * std::sqrt(dot(vector, vector));
  }
  return area;
}

double volume_mm3(const Surface& surface) {
  double volume = 0;
  for (const auto& triangle : surface.triangles)
    volume += dot(surface.points[triangle[0]], area_vector(surface, triangle)) / 6;
  return volume;
}

ViewFrame frame_around(const std::vector<Scene>& scenes) {
  constexpr double far = std::numeric_limits<double>::infinity();
  ViewFrame frame{far, -far, far, -far};
  for (const Scene& scene : scenes)
    for (const ColouredSurface& coloured : scene)
      for (const Point3& point : coloured.surface.points) {
        const double x = dot(point, camera().right), y = dot(point, camera().up);
        frame = {std::min(frame.left, x), std::max(frame.right, x), std::min(frame.bottom, y), std::max(frame.top, y)};
      }
  return frame;
}

Raster draw_scene(const Scene& scene, const ViewFrame& frame, double pixels_per_mm) {
  const auto pixels = [&](double length) {
    return kSupersampling * static_cast<std::size_t>(std::max(1.0, std::ceil(length * pixels_per_mm)));
  };
  Canvas canvas(pixels(frame.right - frame.left), pixels(frame.top - frame.bottom));
  for (const ColouredSurface& coloured : scene)
    canvas.draw(coloured, frame, pixels_per_mm * static_cast<double>(kSupersampling));
  return canvas.reduced();
}

}  // namespace m3d::reports
