#include "datasets/parallel_cases.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "datasets/parallel.h"

namespace m3d {
namespace {

class CaseWork {
 public:
  CaseWork(std::size_t count, const std::string& what, const std::function<void(std::size_t)>& work)
      : count_(count), what_(what), work_(work) {}

  void run(std::size_t index) {
    if (stop_ || interrupt_requested()) return;
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

  void finish() const {
    if (failure_) std::rethrow_exception(failure_);
    if (done_ < count_) throw Interrupted();
  }

 private:
  std::size_t count_;
  const std::string& what_;
  const std::function<void(std::size_t)>& work_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::size_t done_ = 0, failed_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

void for_each_case(std::size_t count, int threads, const std::string& what,
                   const std::function<void(std::size_t)>& work) {
  CaseWork cases(count, what, work);
  parallel_for(
      static_cast<std::int64_t>(count), 1,
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) cases.run(static_cast<std::size_t>(i));
      },
      std::max(threads, 1));
  cases.finish();
}

int default_case_threads() { return parallel_threads(); }

}  // namespace m3d
