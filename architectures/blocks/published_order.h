#pragma once

namespace m3d {

/// While one lives, this thread's networks do everything in the order of the publication, also where another order of
/// the same operators gives the same result for less: for counting what the published network costs.
class PublishedOrder {
 public:
  PublishedOrder();
  ~PublishedOrder();
  PublishedOrder(const PublishedOrder&) = delete;
  PublishedOrder& operator=(const PublishedOrder&) = delete;
  static bool wanted();
};

}  // namespace m3d
