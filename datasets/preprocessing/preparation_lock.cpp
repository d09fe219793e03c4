#include "datasets/preprocessing/preparation_lock.h"

#include <chrono>
#include <thread>

#include "common/interrupt.h"
#include "common/log.h"

namespace m3d {

std::unique_ptr<FolderLock> lock_when_free(const std::filesystem::path& folder, const std::string& other_does,
                                           const std::function<bool()>& is_done) {
  for (bool told = false;; told = true) {
    if (is_done()) return nullptr;
    try {
      auto lock = std::make_unique<FolderLock>(folder);
      return is_done() ? nullptr : std::move(lock);
    } catch (const FolderInUse&) {
      if (!told) log(LogLevel::info, "another process " + other_does + "; waiting for it");
    }
    if (interrupt_requested()) throw Interrupted();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace m3d
