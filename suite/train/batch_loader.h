#pragma once
// Draws batches ahead of the training loop in worker threads.
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "datasets/sampling/patch_sampler.h"

namespace m3d {

/// The batch of step t follows from t alone, so that drawing ahead changes nothing but the waiting time. Called from
/// several threads at once.
using DrawBatch = std::function<Batch(std::int64_t step)>;

class BatchLoader {
 public:
  /// Delivers the batches of steps first, first + 1, … end - 1, drawn by `workers` threads. At most workers + 1 batches
  /// are being drawn or waiting, whichever thread is slow.
  BatchLoader(DrawBatch draw, std::int64_t first, std::int64_t end, std::int64_t workers = 1);
  /// Waits for the batches that are being drawn; none is begun after.
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// Waits for the next batch in the order of the steps; rethrows what drawing it threw. Must not be called more than
  /// end - first times, nor after it threw.
  Batch next();

 private:
  void work();

  DrawBatch draw_;
  std::int64_t end_, ahead_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t next_to_draw_, next_to_deliver_;
  std::map<std::int64_t, std::variant<Batch, std::exception_ptr>> drawn_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace m3d
