#pragma once
// A fuzz target is a body for bytes that must neither crash nor trip a sanitizer; errors of the user's are what it is
// for.
//     M3D_FUZZ_TARGET(nifti) { … data, size … }
// In the fuzzing build (scripts/fuzz) each target is a libFuzzer program; in the usual build replay.cpp runs all of
// them over their corpora, tests/fuzz/corpus/<name>.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "common/error.h"

namespace m3d::fuzz {

using Target = void (*)(const std::uint8_t* data, std::size_t size);

inline std::map<std::string, Target>& targets() {
  static std::map<std::string, Target> all;
  return all;
}

/// Runs the target; UserError and RunError are right answers to bad bytes, everything else flies on.
inline int run(Target target, const std::uint8_t* data, std::size_t size) {
  try {
    target(data, size);
  } catch (const UserError&) {
  } catch (const RunError&) {
  }
  return 0;
}

/// The bytes as a file in memory.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* data, std::size_t size);
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace m3d::fuzz

#ifdef M3D_FUZZ
#define M3D_FUZZ_TARGET(name)                                                         \
  static void name##_target(const std::uint8_t* data, std::size_t size);              \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    return m3d::fuzz::run(name##_target, data, size);                                 \
  }                                                                                   \
  static void name##_target([[maybe_unused]] const std::uint8_t* data, [[maybe_unused]] std::size_t size)
#else
#define M3D_FUZZ_TARGET(name)                                                                                  \
  static void name##_target(const std::uint8_t* data, std::size_t size);                                       \
  [[maybe_unused]] static const bool name##_known = m3d::fuzz::targets().emplace(#name, name##_target).second; \
  static void name##_target([[maybe_unused]] const std::uint8_t* data, [[maybe_unused]] std::size_t size)
#endif
