#pragma once
// Resampling of a volume whose planes come one after the other, in the memory of a few planes. The bits are those of
// Resampling (resampling.h).
#include <cstdint>
#include <memory>
#include <vector>

#include "datasets/preprocessing/resampling.h"

namespace m3d {

/// Linear and nearest rules only, nearest along an axis that is apart: a cubic spline needs the whole volume.
class PlaneResampling {
 public:
  /// As Resampling's. Throws std::invalid_argument for other rules.
  PlaneResampling(const Shape3& shape, const Shape3& new_shape, const Spacing3& current, const Spacing3& target,
                  const ResamplingRule& rule);
  ~PlaneResampling();
  PlaneResampling(PlaneResampling&&) noexcept;

  static bool handles(const ResamplingRule& rule);

  /// New planes that are complete once `taken` planes have come.
  std::int64_t complete(std::int64_t taken) const;

  /// One channel's planes. Several may be worked on at once.
  class Channel {
   public:
    explicit Channel(const PlaneResampling& resampling);
    ~Channel();
    Channel(Channel&&) noexcept;
    /// The next plane [H, W].
    void take(const float* plane);
    /// New plane `index`, the next of those that became complete with the last plane taken.
    void write(std::int64_t index, float* result) const;

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Axes;
  std::unique_ptr<const Axes> axes_;
};

}  // namespace m3d
