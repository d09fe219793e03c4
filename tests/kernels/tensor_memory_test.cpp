#include "kernels/tensor_memory.h"

#include <torch/torch.h>

#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#include "kernels/allocator_policy.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

torch::Tensor bytes_of(std::int64_t count) { return torch::empty({count}, torch::kUInt8); }

/// Keeps tensors of many sizes alive at once, each filled with its number, and looks whether one wrote to another.
void fill_and_check(int seed) {
  std::vector<torch::Tensor> alive;
  for (int i = 0; i < 400; ++i) {
    const std::int64_t count = 1 + (static_cast<std::int64_t>(i + seed) * 7919) % (i % 20 == 0 ? 1'500'000 : 40'000);
    alive.push_back(bytes_of(count).fill_(i % 251));
    REQUIRE(reinterpret_cast<std::uintptr_t>(alive.back().data_ptr()) % 64 == 0);
    if (i % 3 == 2) alive[static_cast<std::size_t>(i) / 2] = torch::Tensor();
  }
  for (std::size_t i = 0; i < alive.size(); ++i)
    if (alive[i].defined()) REQUIRE(alive[i].eq(static_cast<int>(i) % 251).all().item<bool>());
}

}  // namespace

TEST_CASE("small tensors are whole whatever else is taken and freed", "[allocator]") {
  keep_freed_tensors();
  fill_and_check(0);
  std::vector<std::thread> threads;
  for (int seed = 1; seed <= 4; ++seed) threads.emplace_back(fill_and_check, seed);
  for (std::thread& thread : threads) thread.join();
  CHECK(bytes_of(0).numel() == 0);
}

TEST_CASE("a tensor gets the block that one of its size class left", "[allocator]") {
  if (user_has_allocator_policy()) return;
  keep_freed_tensors();
  for (const std::int64_t count : {1, 64, 100, 1000, 5000, 123'456, 1 << 20}) {
    const void* first = bytes_of(count).data_ptr();
    const auto between = bytes_of(2 * count + 200);  // of another class: takes no part in it
    CHECK(bytes_of(count).data_ptr() == first);
  }
}

TEST_CASE("blocks that gave their pages back serve again", "[allocator]") {
  keep_freed_tensors();
  { const auto used = bytes_of(1'000'000).fill_(7); }
  return_freed_memory();
  CHECK(bytes_of(1'000'000).fill_(9).eq(9).all().item<bool>());
  fill_and_check(5);
}

TEST_CASE("a tensor larger than memory is refused as LibTorch does it", "[allocator]") {
  keep_freed_tensors();
  CHECK_THROWS_WITH(bytes_of(std::int64_t{1} << 60), Catch::Matchers::Contains("DefaultCPUAllocator"));
}
