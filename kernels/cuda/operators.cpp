#include "kernels/cuda/operators.h"

#include <torch/library.h>

TORCH_LIBRARY_IMPL(m3d, CUDA, library) {
  m3d::cuda::register_selective_scan(library);
  m3d::cuda::register_causal_conv1d(library);
  m3d::cuda::register_depthwise_conv3d(library);
}
