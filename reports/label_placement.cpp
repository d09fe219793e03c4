#include "reports/label_placement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <optional>
#include <utility>

namespace m3d::reports {
namespace {

constexpr double kGap = 0.6;                                                    // between a disc and its label
constexpr double kBetweenLabels = 0.5;                                          // at least
constexpr std::array<double, 8> kDistances = {0, 2.2, 4.5, 7, 10, 14, 19, 25};  // beyond the disc's edge
constexpr int kDirections = 16;
// Costs in mm2 of covered area: a millimetre of distance, of a line behind a label, of a line behind a disc.
constexpr double kDistanceCost = 0.05, kLineBehindLabel = 0.6, kLineBehindDisc = 0.3, kCrossing = 1, kOutside = 5,
                 kCovering = 3;

struct Segment {
  double from_x = 0, from_y = 0, to_x = 0, to_y = 0;
};

/// A place that a label may take, and what is covered there whatever the other labels do.
struct Candidate {
  LabelPosition place;
  Rectangle box;
  std::optional<Segment> line;  // to the disc
  double cost = 0;
};

double overlap(const Rectangle& a, const Rectangle& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.top, b.top) - std::max(a.bottom, b.bottom);
  return width > 0 && height > 0 ? width * height : 0;
}

/// Text on something else cannot be read, however little it is.
double covering(const Rectangle& label, const Rectangle& other) {
  const double covered = overlap(label, other);
  return covered > 0 ? kCovering + covered : 0;
}

Rectangle around(double x, double y, double half_width, double half_height) {
  return {x - half_width, x + half_width, y - half_height, y + half_height};
}

double area(const Rectangle& r) { return (r.right - r.left) * (r.top - r.bottom); }

/// The label's centre so that its box touches the disc (plus `distance`) in direction `angle`.
LabelPosition position(const LabelledDisc& disc, double angle, double distance) {
  const double reach = disc.radius + kGap + distance, c = std::cos(angle), s = std::sin(angle);
  LabelPosition place{disc.x + c * (reach + disc.width / 2), disc.y + s * (reach + disc.height / 2), distance > 0};
  place.line_x = std::clamp(disc.x, place.x - disc.width / 2, place.x + disc.width / 2);
  place.line_y = std::clamp(disc.y, place.y - disc.height / 2, place.y + disc.height / 2);
  return place;
}

/// Clips the segment to the rectangle (Liang and Barsky).
double length_inside(const Segment& segment, const Rectangle& r) {
  const double dx = segment.to_x - segment.from_x, dy = segment.to_y - segment.from_y;
  double enters = 0, leaves = 1;
  for (const auto& [step, room] : {std::pair(-dx, segment.from_x - r.left), std::pair(dx, r.right - segment.from_x),
                                   std::pair(-dy, segment.from_y - r.bottom), std::pair(dy, r.top - segment.from_y)}) {
    if (step == 0 && room < 0) return 0;
    if (step < 0) enters = std::max(enters, room / step);
    if (step > 0) leaves = std::min(leaves, room / step);
  }
  return leaves > enters ? (leaves - enters) * std::hypot(dx, dy) : 0;
}

bool cross(const Segment& a, const Segment& b) {
  const auto side = [](const Segment& s, double x, double y) {
    return (s.to_x - s.from_x) * (y - s.from_y) - (s.to_y - s.from_y) * (x - s.from_x) > 0;
  };
  return side(a, b.from_x, b.from_y) != side(a, b.to_x, b.to_y) &&
         side(b, a.from_x, a.from_y) != side(b, a.to_x, a.to_y);
}

/// Near places first, at each distance the right side first and then away from it on both sides.
std::vector<Candidate> candidates_of(const std::vector<LabelledDisc>& discs, std::size_t index, const Rectangle& frame,
                                     const std::vector<Rectangle>& obstacles) {
  const LabelledDisc& disc = discs[index];
  std::vector<Candidate> candidates;
  for (const double distance : kDistances)
    for (int step = 0; step < kDirections; ++step) {
      const int side = step % 2 == 0 ? step / 2 : -(step + 1) / 2;
      Candidate one{position(disc, 2 * std::numbers::pi * side / kDirections, distance), {}, {}, 0};
      one.box = around(one.place.x, one.place.y, disc.width / 2, disc.height / 2);
      if (one.place.far) one.line = Segment{one.place.line_x, one.place.line_y, disc.x, disc.y};
      one.cost = kOutside * (area(one.box) - overlap(one.box, frame)) + kDistanceCost * distance;
      for (const Rectangle& other : obstacles) one.cost += overlap(one.box, other);
      for (std::size_t other = 0; other < discs.size(); ++other) {
        const double radius = discs[other].radius;
        const Rectangle covered = around(discs[other].x, discs[other].y, radius, radius);
        one.cost += covering(one.box, covered);
        if (one.line && other != index) one.cost += kLineBehindDisc * length_inside(*one.line, covered);
      }
      candidates.push_back(one);
    }
  return candidates;
}

/// What two labels in their places take from each other.
double conflict(const Candidate& a, const Candidate& b) {
  const Rectangle grown{a.box.left - kBetweenLabels, a.box.right + kBetweenLabels, a.box.bottom - kBetweenLabels,
                        a.box.top + kBetweenLabels};
  double cost = covering(grown, b.box);
  if (a.line) cost += kLineBehindLabel * length_inside(*a.line, b.box);
  if (b.line) cost += kLineBehindLabel * length_inside(*b.line, a.box);
  if (a.line && b.line && cross(*a.line, *b.line)) cost += kCrossing;
  return cost;
}

}  // namespace

std::vector<LabelPosition> place_labels(const std::vector<LabelledDisc>& discs, const Rectangle& frame,
                                        const std::vector<Rectangle>& obstacles) {
  std::vector<std::size_t> order(discs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return discs[a].y > discs[b].y; });
  std::vector<LabelPosition> positions(discs.size());
  std::vector<Candidate> placed;
  for (const std::size_t index : order) {
    double least = std::numeric_limits<double>::infinity();
    Candidate chosen;
    for (const Candidate& candidate : candidates_of(discs, index, frame, obstacles)) {
      double cost = candidate.cost;
      for (const Candidate& other : placed) cost += conflict(candidate, other);
      if (cost + 1e-9 >= least) continue;
      least = cost;
      chosen = candidate;
    }
    placed.push_back(chosen);
    positions[index] = chosen.place;
  }
  return positions;
}

}  // namespace m3d::reports
