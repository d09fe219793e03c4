# The CUDA side of the operators, for the two forms that it is compiled in: by nvcc (kernels/), and as C++ for the
# emulation that tests it without a GPU (tests/kernels/).
set(folder "${CMAKE_CURRENT_LIST_DIR}/..")
set(M3D_CUDA_KERNELS_SOURCES
  ${folder}/cuda/sum_parts.cu
  ${folder}/selective_scan/selective_scan_units_cuda.cu
  ${folder}/selective_scan/selective_scan_forward_cuda.cu
  ${folder}/selective_scan/selective_scan_backward_cuda.cu
  ${folder}/causal_conv1d/causal_conv1d_cuda.cu
  ${folder}/depthwise_conv3d/depthwise_conv3d_cuda.cu
  ${folder}/depthwise_conv3d/depthwise_conv3d_tiled_cuda.cu
  ${folder}/depthwise_conv3d/depthwise_conv3d_weight_cuda.cu)
set(M3D_CUDA_CALLS_SOURCES
  ${folder}/selective_scan/selective_scan_cuda.cpp
  ${folder}/causal_conv1d/causal_conv1d_cuda.cpp
  ${folder}/depthwise_conv3d/depthwise_conv3d_cuda.cpp)
