#include "suite/profile/resident_memory.h"

#include <malloc.h>

#include <fstream>
#include <string>

namespace m3d {
namespace {

/// A line "VmHWM:   1234 kB" of /proc/self/status, in bytes.
std::optional<std::int64_t> status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != key + ":") continue;
    std::int64_t kibibytes = 0;
    if (status >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::int64_t> resident_bytes() { return status_bytes("VmRSS"); }
std::optional<std::int64_t> peak_resident_bytes() { return status_bytes("VmHWM"); }

bool reset_peak_resident() {
  malloc_trim(0);
  std::ofstream control("/proc/self/clear_refs");
  control << "5" << std::flush;
  return control.good();
}

}  // namespace m3d
