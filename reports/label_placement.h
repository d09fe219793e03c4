#pragma once
#include <vector>

namespace m3d::reports {

struct Rectangle {
  double left = 0, right = 0, bottom = 0, top = 0;
};

/// A disc with a label of a given size beside it.
struct LabelledDisc {
  double x = 0, y = 0, radius = 0, width = 0, height = 0;
};

struct LabelPosition {
  double x = 0, y = 0;            // the label's centre
  bool far = false;               // not beside its disc: draw a line
  double line_x = 0, line_y = 0;  // from here to the disc's centre: the label's nearest point
};

/// Greedy: every label, discs from top to bottom, takes the place around its disc where it and its line cost least:
/// what they cover (discs, obstacles, earlier labels and lines, what lies outside of `frame`), then the distance.
std::vector<LabelPosition> place_labels(const std::vector<LabelledDisc>& discs, const Rectangle& frame,
                                        const std::vector<Rectangle>& obstacles);

}  // namespace m3d::reports
