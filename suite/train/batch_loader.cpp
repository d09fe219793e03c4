#include "suite/train/batch_loader.h"

#include <utility>

namespace m3d {

BatchLoader::BatchLoader(DrawBatch draw, std::int64_t first, std::int64_t end, std::int64_t workers)
    : draw_(std::move(draw)), end_(end), ahead_(workers + 1), next_to_draw_(first), next_to_deliver_(first) {
  for (std::int64_t i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void BatchLoader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || next_to_draw_ < next_to_deliver_ + ahead_; });
    if (stopping_ || next_to_draw_ >= end_) return;
    const std::int64_t step = next_to_draw_++;
    lock.unlock();
    std::variant<Batch, std::exception_ptr> result;
    try {
      result = draw_(step);
    } catch (...) {
      result = std::current_exception();
    }
    lock.lock();
    drawn_.emplace(step, std::move(result));
    changed_.notify_all();
  }
}

Batch BatchLoader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return drawn_.contains(next_to_deliver_); });
  auto result = std::move(drawn_.extract(next_to_deliver_++).mapped());
  changed_.notify_all();
  if (const auto* failure = std::get_if<std::exception_ptr>(&result)) std::rethrow_exception(*failure);
  return std::get<Batch>(std::move(result));
}

}  // namespace m3d
