#pragma once
// Files that are either wholly there or not there at all.
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "common/error.h"

namespace m3d {

/// Writes `content` to a temporary file beside `path`, flushes it to the disk and renames it over `path`.
/// Throws RunError when the folder cannot be written.
void write_atomically(const std::filesystem::path& path, std::string_view content);

/// The same for writers that want a path: `write` fills the temporary file it is given. The temporary name keeps
/// the whole file name of `path` as its end, so that formats chosen by extension (.nii.gz) still work.
void write_atomically(const std::filesystem::path& path, const std::function<void(const std::filesystem::path&)>& write);

/// Throws UserError when the file cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Another process has the lock; the message names it.
class FolderInUse : public UserError {
 public:
  using UserError::UserError;
};

/// An exclusive lock on `<folder>/.lock`, held by the operating system and released when the process dies.
/// The constructor creates the folder; it throws FolderInUse when another process has the lock.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// Throws UserError naming `option` unless files can be created in `folder` (or, where it does not exist yet, in its
/// nearest existing parent). Creates nothing that remains.
void require_writable(const std::filesystem::path& folder, std::string_view option);

}  // namespace m3d
