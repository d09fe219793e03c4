#include "kernels/allocator_policy.h"

#include <malloc.h>
#include <sys/resource.h>

#include <cstdlib>
#include <memory>

#include "tests/catch.h"

namespace {

long minor_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Page faults of taking 96 MiB, writing to every page, and freeing it.
long faults_of_a_tensor() {
  constexpr std::size_t bytes = 96U << 20;
  const long before = minor_faults();
  const auto memory = std::make_unique_for_overwrite<char[]>(bytes);
  for (std::size_t i = 0; i < bytes; i += 4096) static_cast<volatile char*>(memory.get())[i] = 1;
  return minor_faults() - before;
}

}  // namespace

TEST_CASE("freed memory is kept for the next tensor", "[allocator]") {
  if (std::getenv("MALLOC_MMAP_THRESHOLD_") != nullptr || std::getenv("GLIBC_TUNABLES") != nullptr) return;
  m3d::keep_freed_memory();
  faults_of_a_tensor();
  CHECK(faults_of_a_tensor() < 1000);  // of 24,576 pages
  malloc_trim(0);                      // gives it back
  CHECK(faults_of_a_tensor() > 40);
}
