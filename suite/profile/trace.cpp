#include "suite/profile/trace.h"

#include <torch/csrc/autograd/profiler_kineto.h>

#include <memory>
#include <set>

#include "common/atomic_file.h"

namespace m3d {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

/// Traces from construction to destruction.
class Trace {
 public:
  explicit Trace(std::filesystem::path file) : file_(std::move(file)) {
    // A state for all threads: the thread's own slot belongs to the meters of memory (TensorMemoryMeter).
    torch::profiler::impl::ExperimentalConfig all_threads;
    all_threads.profile_all_threads = true;
    const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO, false, false,
                                                       false, false, false, all_threads);
    std::set<ActivityType> activities{ActivityType::CPU};
#ifdef M3D_CUDA
    activities.insert(ActivityType::CUDA);
#endif
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities);
  }
  ~Trace() {
    const std::unique_ptr<profiler::ProfilerResult> result = profiler::disableProfiler();
    result->save(file_);
  }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

 private:
  std::filesystem::path file_;
};

}  // namespace

int run_traced(const std::filesystem::path& file, const std::function<int()>& work) {
  if (file.empty()) return work();
  const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
  require_writable(folder, "--trace");
  std::filesystem::create_directories(folder);
  const Trace trace(file);
  return work();
}

}  // namespace m3d
