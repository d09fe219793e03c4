#include <torch/torch.h>
#include <ATen/Parallel.h>
int m3d_smoke() { return at::get_num_threads() + (int)torch::rand({3}).numel(); }
