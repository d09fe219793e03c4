#include "suite/train/batch_loader.h"

#include <utility>

namespace m3d {

BatchLoader::BatchLoader(DrawBatch draw, std::int64_t first, std::int64_t end, std::size_t capacity)
    : draw_(std::move(draw)), capacity_(capacity), worker_([this, first, end] { work(first, end); }) {}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

bool BatchLoader::push(Batch batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || waiting_.size() < capacity_; });
  if (stopping_) return false;
  waiting_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

void BatchLoader::work(std::int64_t first, std::int64_t end) {
  try {
    for (std::int64_t step = first; step < end; ++step)
      if (!push(draw_(step))) return;
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

Batch BatchLoader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !waiting_.empty() || failure_; });
  if (waiting_.empty()) std::rethrow_exception(failure_);
  Batch batch = std::move(waiting_.front());
  waiting_.pop_front();
  changed_.notify_all();
  return batch;
}

}  // namespace m3d
