#include "architectures/blocks/channels_last.h"

#include <torch/torch.h>

namespace m3d {

torch::Tensor in_channels_last(const torch::Tensor& image) {
  const auto dense = image.contiguous(torch::MemoryFormat::ChannelsLast3d);
  if (image.size(1) != 1) return dense;
  const std::int64_t height = dense.size(3), width = dense.size(4), plane = height * width;
  return dense.as_strided(dense.sizes(), {dense.size(2) * plane, 1, plane, width, 1});
}

}  // namespace m3d
