#include "reports/label_placement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace m3d::reports {
namespace {

constexpr double kGap = 0.6;
constexpr std::array<double, 5> kDistances = {0, 2.2, 4.5, 7, 10};  // beyond the disc's edge
constexpr int kDirections = 16;

double overlap(const Rectangle& a, const Rectangle& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.top, b.top) - std::max(a.bottom, b.bottom);
  return width > 0 && height > 0 ? width * height : 0;
}

Rectangle around(double x, double y, double half_width, double half_height) {
  return {x - half_width, x + half_width, y - half_height, y + half_height};
}

double area(const Rectangle& r) { return (r.right - r.left) * (r.top - r.bottom); }

/// The label's centre so that its box touches the disc (plus `distance`) in direction `angle`.
LabelPosition candidate(const LabelledDisc& disc, double angle, double distance) {
  const double reach = disc.radius + kGap + distance, c = std::cos(angle), s = std::sin(angle);
  return {disc.x + c * (reach + disc.width / 2), disc.y + s * (reach + disc.height / 2), distance > 0};
}

}  // namespace

std::vector<LabelPosition> place_labels(const std::vector<LabelledDisc>& discs, const Rectangle& frame,
                                        const std::vector<Rectangle>& obstacles) {
  std::vector<std::size_t> order(discs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return discs[a].y > discs[b].y; });
  std::vector<LabelPosition> positions(discs.size());
  std::vector<Rectangle> taken = obstacles;
  for (const LabelledDisc& disc : discs) taken.push_back(around(disc.x, disc.y, disc.radius, disc.radius));
  for (const std::size_t index : order) {
    const LabelledDisc& disc = discs[index];
    double least = std::numeric_limits<double>::infinity();
    Rectangle chosen;
    for (const double distance : kDistances)
      for (int step = 0; step < kDirections; ++step) {
        const int side = (step % 2 == 0 ? step / 2 : -(step + 1) / 2);  // right first, then away from it on both sides
        const LabelPosition place = candidate(disc, 2 * std::numbers::pi * side / kDirections, distance);
        const Rectangle box = around(place.x, place.y, disc.width / 2, disc.height / 2);
        double cost = 5 * (area(box) - overlap(box, frame)) + 0.01 * distance;
        for (const Rectangle& other : taken) cost += overlap(box, other);
        if (cost + 1e-9 >= least) continue;
        least = cost;
        positions[index] = place;
        chosen = box;
      }
    taken.push_back(chosen);
  }
  return positions;
}

}  // namespace m3d::reports
