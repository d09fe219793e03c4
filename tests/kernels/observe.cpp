#include <ATen/record_function.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <fstream>

#include "tests/kernels/gradcheck.h"

namespace m3d::test {
namespace {

class AllocationCounter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) override {
    now_ += size;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() const { return peak_; }

 private:
  std::int64_t now_ = 0, peak_ = 0;
};

std::vector<std::string>* seen = nullptr;

std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& function) {
  const std::string name = function.name();
  const bool has_input = !function.inputs().empty() && function.inputs()[0].isTensor();
  if (name.starts_with("m3d::") && has_input) seen->push_back(name);
  return nullptr;
}

}  // namespace

nlohmann::json load_record(const std::string& name) {
  std::ifstream file(std::string(M3D_SOURCE_DIR) + "/tests/records/operators/" + name + ".json");
  return nlohmann::json::parse(file);
}

std::vector<std::string> dispatched(const std::function<void()>& run) {
  std::vector<std::string> names;
  seen = &names;
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(note).needsInputs(true));
  run();
  at::removeCallback(handle);
  return names;
}

std::int64_t peak_tensor_bytes(const std::function<void()>& run) {
  const auto counter = std::make_shared<AllocationCounter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  run();
  return counter->peak();
}

}  // namespace m3d::test
