#include "tests/kernels/cuda_emulation.h"

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

M3dEmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr int kWarp = 32;
constexpr std::size_t kStack = 256 * 1024;

/// Counts arrivals; everyone waits until all members that still run have arrived.
struct Barrier {
  int members = 0, arrived = 0;
  unsigned generation = 0;
  void arrive() {
    if (++arrived == members) release();
  }
  void leave() {
    --members;
    if (members > 0 && arrived == members) release();
  }
  void release() {
    arrived = 0;
    ++generation;
  }
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  bool finished = false;
};

struct Block {
  std::vector<std::unique_ptr<Fiber>> fibers;
  ucontext_t scheduler;
  Barrier all;
  std::vector<Barrier> warps;
  std::vector<unsigned long long> passed;
  std::unique_ptr<char[]> shared;
  const std::function<void()>* thread = nullptr;
  unsigned current = 0;
};

Block block;

void run_fiber() {
  (*block.thread)();
  block.fibers[block.current]->finished = true;
  block.all.leave();
  block.warps[block.current / kWarp].leave();
}

void wait_for(Barrier& barrier) {
  const unsigned generation = barrier.generation;
  barrier.arrive();
  while (barrier.generation == generation) swapcontext(&block.fibers[block.current]->context, &block.scheduler);
}

void start_block(int threads, std::size_t shared_bytes) {
  block.all = {threads};
  block.warps.assign(static_cast<std::size_t>((threads + kWarp - 1) / kWarp), {});
  for (int i = 0; i < threads; ++i) ++block.warps[static_cast<std::size_t>(i / kWarp)].members;
  block.passed.assign(static_cast<std::size_t>(threads), 0);
  block.shared.reset(new char[shared_bytes]);
  std::memset(block.shared.get(), 0xff, shared_bytes);  // NaN, so that what nobody wrote shows
  while (block.fibers.size() < static_cast<std::size_t>(threads)) block.fibers.push_back(std::make_unique<Fiber>());
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = *block.fibers[static_cast<std::size_t>(i)];
    fiber.finished = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &block.scheduler;
    makecontext(&fiber.context, run_fiber, 0);
  }
}

void run_block(int threads) {
  for (int rounds = 0, left = threads; left > 0; ++rounds) {
    left = 0;
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = *block.fibers[static_cast<std::size_t>(i)];
      if (fiber.finished) continue;
      block.current = static_cast<unsigned>(i);
      threadIdx.x = block.current;
      swapcontext(&block.scheduler, &fiber.context);
      if (!fiber.finished) ++left;
    }
    if (rounds > 100000000) {
      std::fputs("cuda_emulation: the threads of a block wait for each other for ever\n", stderr);
      std::abort();
    }
  }
}

}  // namespace

void m3d_emulate(long blocks, int threads, std::size_t shared_bytes, const std::function<void()>& thread) {
  block.thread = &thread;
  blockDim.x = static_cast<unsigned>(threads);
  gridDim.x = static_cast<unsigned>(blocks);
  for (long i = 0; i < blocks; ++i) {
    blockIdx.x = static_cast<unsigned>(i);
    start_block(threads, shared_bytes);
    run_block(threads);
  }
}

void* m3d_emulated_shared_memory() { return block.shared.get(); }

void __syncthreads() { wait_for(block.all); }
void __syncwarp() { wait_for(block.warps[block.current / kWarp]); }

unsigned long long m3d_emulated_exchange(unsigned long long value, int bits) {
  Barrier& warp = block.warps[block.current / kWarp];
  block.passed[block.current] = value;
  wait_for(warp);
  const unsigned long long other = block.passed[block.current ^ static_cast<unsigned>(bits)];
  wait_for(warp);
  return other;
}
