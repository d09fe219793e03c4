#include <sys/mman.h>

#include "common/log.h"
#include "tests/fuzz/fuzz_target.h"

namespace m3d::fuzz {

MemoryFile::MemoryFile(const std::uint8_t* data, std::size_t size) : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
  set_log_level(LogLevel::error);  // warnings are expected by the thousand
  if (descriptor_ < 0 || write(descriptor_, data, size) != static_cast<ssize_t>(size))
    throw std::runtime_error("no memory file");
}

}  // namespace m3d::fuzz
