#pragma once
// Kernels in place of LibTorch's. Internal to this room.
#include <c10/util/Exception.h>
#include <torch/library.h>

namespace m3d {

/// LibTorch says so when a kernel takes another's place; here that is meant.
class NoWarnings : public c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

/// What `fill` implements of aten for the CPU, in place of LibTorch's as long as the result lives.
template <class Fill>
torch::Library cpu_kernels_instead(Fill fill) {
  NoWarnings silent;
  const c10::WarningUtils::WarningHandlerGuard guard(&silent);
  torch::Library aten(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  fill(aten);
  return aten;
}

}  // namespace m3d
