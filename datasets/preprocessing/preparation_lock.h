#pragma once
// Several processes that prepare the same data. Internal to this room.
#include <functional>
#include <memory>
#include <string>

#include "common/atomic_file.h"

namespace m3d {

/// Takes the lock of `folder`, waiting while another process has it, and says so once ("another process generates …").
/// Null as soon as there is nothing left to do. Throws Interrupted after a signal.
std::unique_ptr<FolderLock> lock_when_free(const std::filesystem::path& folder, const std::string& other_does,
                                           const std::function<bool()>& is_done);

}  // namespace m3d
