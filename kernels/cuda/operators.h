#pragma once
// Which functions run the operators on CUDA. operators.cpp registers them; tests may do so for other devices.
namespace torch {
class Library;
}

namespace m3d::cuda {

void register_selective_scan(torch::Library& library);
void register_causal_conv1d(torch::Library& library);
void register_depthwise_conv3d(torch::Library& library);

}  // namespace m3d::cuda
