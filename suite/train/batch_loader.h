#pragma once
// Draws batches ahead of the training loop in one worker thread.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "datasets/preprocessing.h"

namespace m3d {

/// The batch of step t follows from t alone, so that drawing ahead changes nothing but the waiting time.
using DrawBatch = std::function<Batch(std::int64_t step)>;

class BatchLoader {
 public:
  /// Delivers the batches of steps first, first + 1, … end - 1; at most `capacity` wait in memory.
  BatchLoader(DrawBatch draw, std::int64_t first, std::int64_t end, std::size_t capacity = 2);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// Waits for the next batch; rethrows what `draw` threw. Must not be called more than end - first times.
  Batch next();

 private:
  void work(std::int64_t first, std::int64_t end);
  bool push(Batch batch);

  DrawBatch draw_;
  std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> waiting_;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread worker_;
};

}  // namespace m3d
