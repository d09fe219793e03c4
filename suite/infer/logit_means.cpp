#include "suite/infer/logit_means.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "common/error.h"

namespace m3d {
namespace {

namespace fs = std::filesystem;

/// A file without a name, so that nothing of it stays when the process dies.
int open_nameless_file(const fs::path& folder) {
  std::string name = (folder / "m3d-logits-XXXXXX").string();
  const int descriptor = mkostemp(name.data(), O_CLOEXEC);
  if (descriptor >= 0) unlink(name.c_str());
  return descriptor;
}

/// The rows of a tile lie on thousands of pages, each of which the processor must find. Where the system has no larger
/// ones nothing is lost.
void ask_for_large_pages(void* memory, std::size_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t page = 2 << 20;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

std::string gibibytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

}  // namespace

LogitMeans::LogitMeans(const std::vector<std::int64_t>& shape, const at::Tensor& image,
                       const SlidingWindowOptions& options)
    : type_(image.options().dtype(image.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)) {
  const std::size_t element = image.scalar_type() == at::kDouble ? sizeof(double) : sizeof(float);
  const auto bytes = static_cast<std::size_t>(c10::multiply_integers(shape)) * element;
  if (options.memory_bytes == 0 || bytes <= static_cast<std::size_t>(options.memory_bytes) / 2) {
    tensor_ = at::empty(shape, type_);
    if (tensor_.is_cpu()) ask_for_large_pages(tensor_.mutable_data_ptr(), bytes);
    return;
  }
  type_ = type_.device(at::kCPU);
  map_file(bytes, options.scratch_folder.empty() ? fs::temp_directory_path() : options.scratch_folder);
  tensor_ = torch::from_blob(mapping_, shape, type_);
}

void LogitMeans::map_file(std::size_t bytes, const fs::path& folder) {
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  const int descriptor = open_nameless_file(folder);
  // Room is taken now: a full disk would otherwise end the process in the middle (SIGBUS).
  int error = descriptor < 0 ? errno : posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  if (error == 0) {
    void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapping == MAP_FAILED)
      error = errno;
    else
      mapping_ = mapping;
  }
  if (descriptor >= 0) close(descriptor);
  if (error != 0)
    throw RunError("prediction needs a file of " + gibibytes(bytes) + " in " + folder.string() +
                   " for logits that memory does not hold: " + std::strerror(error) +
                   "; make room there, or give more memory with infer.memory_limit_gib");
  bytes_ = bytes;
}

LogitMeans::~LogitMeans() {
  if (mapping_) munmap(mapping_, bytes_);
}

void LogitMeans::release() const {
  // Of a shared mapping only the process's references to the pages go; the file keeps what was written.
  if (mapping_) madvise(mapping_, bytes_, MADV_DONTNEED);
}

}  // namespace m3d
