#pragma once
#include <ATen/autocast_mode.h>
#include <torch/torch.h>

namespace m3d {

/// Eligible operators compute in bfloat16 while one lives.
struct Bfloat16 {
  Bfloat16() {
    at::autocast::set_autocast_dtype(torch::kCPU, torch::kBFloat16);
    at::autocast::set_autocast_enabled(torch::kCPU, true);
  }
  ~Bfloat16() {
    at::autocast::set_autocast_enabled(torch::kCPU, false);
    at::autocast::clear_cache();
  }
  Bfloat16(const Bfloat16&) = delete;
  Bfloat16& operator=(const Bfloat16&) = delete;
};

}  // namespace m3d
