#include "architectures/blocks/stochastic.h"

namespace m3d {

torch::Tensor DropPath::forward(const torch::Tensor& x) const {
  if (rate_ <= 0 || !is_training()) return x;
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.dim()), 1);
  sizes[0] = x.size(0);
  const double keep = 1.0 - rate_;
  return x * torch::empty(sizes, x.options()).bernoulli_(keep).div_(keep);
}

}  // namespace m3d
