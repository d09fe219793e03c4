#include "kernels/tensor_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

#include "kernels/allocator_policy.h"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace m3d {
namespace {

constexpr std::size_t kAlignment = 64;  // as LibTorch's own
constexpr std::size_t kLargest = std::size_t{1} << 20;
constexpr std::size_t kSlab = std::size_t{4} << 20;
constexpr int kStepBits = 3;  // size classes of an octave: 2^3
constexpr std::size_t kClasses = 128, kNoClass = kClasses;

/// In front of each block, which begins kAlignment bytes after it.
struct alignas(kAlignment) Header {
  Header* next;  // while the block is free
  std::size_t size_class;
};

/// Classes are 64, 128, … 512 bytes, then eight to each doubling.
std::size_t size_class_of(std::size_t bytes) {
  const std::size_t lines = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment - 1;
  const int octave = std::max(0, static_cast<int>(std::bit_width(lines)) - kStepBits - 1);
  return (static_cast<std::size_t>(octave) << kStepBits) + (lines >> octave);
}

/// Bytes of the largest tensor of a class.
std::size_t bytes_of(std::size_t size_class) {
  constexpr std::size_t steps = std::size_t{1} << kStepBits;
  const std::size_t octave = size_class < 2 * steps ? 0 : size_class / steps - 1;
  return (((size_class - octave * steps) + 1) << octave) * kAlignment;
}

class TensorMemory final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* data = bytes == 0 ? nullptr : bytes > kLargest ? take_large(bytes) : take_small(bytes);
    return {data, data, &give_back, c10::Device(c10::kCPU)};
  }
  /// oneDNN's scratch memory is taken without an owner.
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

  void return_pages() {
    const std::scoped_lock lock(mutex_);
    for (Header* block : free_)
      for (; block != nullptr; block = block->next) return_pages_of(*block);
  }

  static TensorMemory& instance() {
    static auto* memory = new TensorMemory;  // tensors with static lifetime come back after everything else
    return *memory;
  }

 private:
  /// LibTorch's own allocator, which also reports it, says if there is no memory.
  static void* take_large(std::size_t bytes) {
    return new (c10::GetDefaultCPUAllocator()->raw_allocate(sizeof(Header) + bytes)) Header{nullptr, kNoClass} + 1;
  }

  void* take_small(std::size_t bytes) {
    void* data = take(size_class_of(bytes)) + 1;
    c10::profiledCPUMemoryReporter().New(data, bytes);
    return data;
  }

  Header* take(std::size_t size_class) {
    const std::scoped_lock lock(mutex_);
    if (Header* block = free_[size_class]) {
      free_[size_class] = block->next;
      return block;
    }
    return new (carve(sizeof(Header) + bytes_of(size_class))) Header{nullptr, size_class};
  }

  /// From a slab; what a slab has left at its end is never touched, so that it takes no memory.
  std::byte* carve(std::size_t bytes) {
    if (bytes > left_) {
      void* slab = std::aligned_alloc(kAlignment, kSlab);
      if (slab == nullptr) {
        c10::profiledCPUMemoryReporter().OutOfMemory(bytes);
        TORCH_CHECK_WITH(OutOfMemoryError, false, "DefaultCPUAllocator: can't allocate memory for a tensor of ", bytes,
                         " bytes");
      }
      slab_ = static_cast<std::byte*>(slab), left_ = kSlab;
    }
    std::byte* block = slab_;
    slab_ += bytes, left_ -= bytes;
    return block;
  }

  static void give_back(void* data) {
    if (data == nullptr) return;
    Header* block = static_cast<Header*>(data) - 1;
    if (block->size_class == kNoClass) return c10::GetDefaultCPUAllocator()->raw_deallocate(block);
    c10::profiledCPUMemoryReporter().Delete(data);
    TensorMemory& memory = instance();
    const std::scoped_lock lock(memory.mutex_);
    block->next = memory.free_[block->size_class];
    memory.free_[block->size_class] = block;
  }

  /// The pages that lie in the block as a whole, behind its header.
  static void return_pages_of(Header& block) {
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto data = reinterpret_cast<std::uintptr_t>(&block + 1);
    const std::uintptr_t begin = (data + page - 1) / page * page,
                         end = (data + bytes_of(block.size_class)) / page * page;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }

  std::mutex mutex_;
  std::array<Header*, kClasses> free_{};
  std::byte* slab_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace

void keep_freed_tensors() {
#if !defined(__SANITIZE_ADDRESS__)
  if (!user_has_allocator_policy()) c10::SetCPUAllocator(&TensorMemory::instance());
#endif
}

void return_freed_memory() {
  TensorMemory::instance().return_pages();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace m3d
