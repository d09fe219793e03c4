#include "suite/profile/resident_memory.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "kernels/tensor_memory.h"

namespace m3d {
namespace {

/// A line "VmHWM:   1234 kB" of a file of /proc, in bytes.
std::optional<std::int64_t> proc_bytes(const char* file, const std::string& key) {
  std::ifstream status(file);
  for (std::string word; status >> word;) {
    if (word != key + ":") continue;
    std::int64_t kibibytes = 0;
    if (status >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

constexpr const char* kStatus = "/proc/self/status";

/// A file that holds one number; absent where it does not ("max": no limit).
std::optional<std::int64_t> number_in(const char* file) {
  std::ifstream stream(file);
  std::int64_t number = 0;
  return stream >> number ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<std::int64_t> resident_bytes() { return proc_bytes(kStatus, "VmRSS"); }
std::optional<std::int64_t> peak_resident_bytes() { return proc_bytes(kStatus, "VmHWM"); }

std::optional<std::int64_t> available_bytes() {
  auto available = proc_bytes("/proc/meminfo", "MemAvailable");
  const auto limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  if (available && limit && used) available = std::min(*available, *limit - *used);
  return available;
}

bool reset_peak_resident() {
  return_freed_memory();
  std::ofstream control("/proc/self/clear_refs");
  control << "5" << std::flush;
  return control.good();
}

}  // namespace m3d
