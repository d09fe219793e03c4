#pragma once
// NVTX ranges of the harness: epoch/step/{load,forward,loss,backward,step}. They cost nothing unless a profiler
// listens.
#include <nvtx3/nvToolsExt.h>

namespace m3d {

/// A range from construction to destruction.
class NvtxRange {
 public:
  explicit NvtxRange(const char* name) { nvtxRangePushA(name); }
  ~NvtxRange() { nvtxRangePop(); }
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;
};

}  // namespace m3d
