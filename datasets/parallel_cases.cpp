#include "datasets/parallel_cases.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"

namespace m3d {
namespace {

class CaseWork {
 public:
  CaseWork(std::size_t count, const std::string& what, const std::function<void(std::size_t)>& work)
      : count_(count), what_(what), work_(work) {}

  void run() {
    while (!stop_ && !interrupt_requested()) {
      const std::size_t index = next_++;
      if (index >= count_) return;
      try {
        work_(index);
        const std::lock_guard lock(mutex_);
        progress(what_, static_cast<long>(++done_), static_cast<long>(count_));
      } catch (...) {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        if (!failure_ || index < failed_) failure_ = std::current_exception(), failed_ = index;
      }
    }
  }

  void finish() const {
    if (failure_) std::rethrow_exception(failure_);
    if (done_ < count_) throw Interrupted();
  }

 private:
  std::size_t count_;
  const std::string& what_;
  const std::function<void(std::size_t)>& work_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::size_t done_ = 0, failed_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

void for_each_case(std::size_t count, int threads, const std::string& what,
                   const std::function<void(std::size_t)>& work) {
  CaseWork cases(count, what, work);
  {
    std::vector<std::jthread> workers;
    const auto extra = std::min<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)), count);
    for (std::size_t i = 1; i < extra; ++i) workers.emplace_back([&] { cases.run(); });
    cases.run();
  }
  cases.finish();
}

int default_case_threads() { return std::max(2, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace m3d
