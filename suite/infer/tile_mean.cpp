#include "suite/infer/tile_mean.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>

#include "suite/infer/tile_rows.h"

namespace m3d {
namespace {

/// Where a tile lies, and its voxels that earlier tiles hold: all rows before `reached` along D or H, and the first
/// `reached` voxels of the others.
struct Place {
  Place(const std::array<AxisTiles, 3>& axes, const TileIndex& tile) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      begin[axis] = axes[axis].starts[tile[axis]];
      reached[axis] = std::max<std::int64_t>(0, axes[axis].reached_before(tile[axis]) - begin[axis]);
      share[axis] = axes[axis].shares[tile[axis]].data();
    }
  }
  Shape3 begin{}, reached{};
  std::array<const double*, 3> share{};
};

template <class T>
void add_on_cpu(const at::Tensor& means, std::int64_t first_plane, const at::Tensor& logits, const Place& place) {
  const std::int64_t depth = logits.size(1), height = logits.size(2), width = logits.size(3);
  const std::vector<T> share(place.share[2], place.share[2] + width);
  const T* from = logits.const_data_ptr<T>();
  T* to = means.mutable_data_ptr<T>();
  at::parallel_for(0, logits.size(0) * depth, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t k = i / depth, z = i % depth;
      T* plane = to + k * means.stride(0) + (place.begin[0] - first_plane + z) * means.stride(1) +
                 place.begin[1] * means.stride(2) + place.begin[2];
      add_plane(TilePlane<T>{.logits = from + i * height * width,
                             .means = plane,
                             .stride = means.stride(2),
                             .height = height,
                             .width = width,
                             .depth_share = place.share[0][z],
                             .row_shares = place.share[1],
                             .column_shares = share.data(),
                             .known_rows = z < place.reached[0] ? height : place.reached[1],
                             .known_columns = place.reached[2]});
    }
  });
}

at::Tensor share_tensor(const Place& place, std::size_t axis, std::int64_t count) {
  return torch::tensor(std::vector<double>(place.share[axis], place.share[axis] + count), torch::kDouble);
}

/// The same by tensor operations.
void add_on_device(const at::Tensor& means, std::int64_t first_plane, const at::Tensor& logits, const Place& place) {
  const auto shape = logits.sizes();
  const at::Tensor shares = (share_tensor(place, 0, shape[1]).view({-1, 1, 1}) *
                             share_tensor(place, 1, shape[2]).view({-1, 1}) * share_tensor(place, 2, shape[3]))
                                .to(means.options());
  at::Tensor box = means.narrow(1, place.begin[0] - first_plane, shape[1])
                       .narrow(2, place.begin[1], shape[2])
                       .narrow(3, place.begin[2], shape[3]);
  const auto unknown = [&](std::size_t axis) { return std::min<std::int64_t>(place.reached[axis], shape[axis + 1]); };
  box.narrow(1, unknown(0), shape[1] - unknown(0))
      .narrow(2, unknown(1), shape[2] - unknown(1))
      .narrow(3, unknown(2), shape[3] - unknown(2))
      .zero_();
  box.addcmul_(logits, shares);
}

}  // namespace

AxisTiles::AxisTiles(std::vector<std::int64_t> starts_, std::vector<double> profile, std::int64_t size)
    : starts(std::move(starts_)), patch(std::ssize(profile)) {
  std::vector<double> sums(static_cast<std::size_t>(size), 0);
  for (const std::int64_t start : starts)
    for (std::size_t i = 0; i < profile.size(); ++i) sums[static_cast<std::size_t>(start) + i] += profile[i];
  for (const std::int64_t start : starts) {
    std::vector<double> share(profile);
    for (std::size_t i = 0; i < share.size(); ++i) share[i] /= sums[static_cast<std::size_t>(start) + i];
    shares.push_back(std::move(share));
  }
}

void add_tile(const at::Tensor& means, std::int64_t first_plane, const at::Tensor& logits,
              const std::array<AxisTiles, 3>& axes, const TileIndex& tile) {
  const Place place(axes, tile);
  const at::Tensor dense = logits.contiguous();
  if (!means.is_cpu()) return add_on_device(means, first_plane, dense, place);
  if (means.scalar_type() == at::kDouble) return add_on_cpu<double>(means, first_plane, dense, place);
  add_on_cpu<float>(means, first_plane, dense, place);
}

}  // namespace m3d
