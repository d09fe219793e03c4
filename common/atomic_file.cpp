#include "common/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "common/error.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

std::string reason() { return std::strerror(errno); }

void flush_to_disk(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY);
  if (descriptor < 0) throw RunError("cannot reopen " + path.string() + ": " + reason());
  const int result = fsync(descriptor);
  close(descriptor);
  if (result != 0) throw RunError("cannot flush " + path.string() + ": " + reason());
}

}  // namespace

void write_atomically(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::path temporary = folder / (".tmp." + std::to_string(getpid()) + "." + path.filename().string());
  try {
    fs::create_directories(folder);
    write(temporary);
    flush_to_disk(temporary);
    fs::rename(temporary, path);
    flush_to_disk(folder);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw RunError("cannot write " + path.string() + ": " + error.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

void write_atomically(const fs::path& path, std::string_view content) {
  write_atomically(path, [&](const fs::path& temporary) {
    std::ofstream file(temporary, std::ios::binary);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    if (!file) throw RunError("cannot write " + path.string() + ": " + reason());
  });
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (!file || fs::is_directory(path) || !(content << file.rdbuf())) {
    if (file && !fs::is_directory(path) && fs::file_size(path) == 0) return {};
    throw UserError("cannot read " + path.string() + ": " + (fs::exists(path) ? "not a readable file" : "no such file"));
  }
  return content.str();
}

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path path = folder / ".lock";
  std::error_code failure;
  fs::create_directories(folder, failure);
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw UserError("cannot write to " + folder.string() + ": " + reason());
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    char holder[64] = {};
    const ssize_t length = pread(descriptor_, holder, sizeof holder - 1, 0);
    close(descriptor_);
    descriptor_ = -1;
    throw FolderInUse(folder.string() + " is in use by process " + (length > 0 ? holder : "unknown") +
                    "; wait until it ends, or give another --out");
  }
  const std::string identity = std::to_string(getpid());
  if (ftruncate(descriptor_, 0) != 0 || pwrite(descriptor_, identity.data(), identity.size(), 0) < 0)
    throw UserError("cannot write to " + path.string() + ": " + reason());
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

void require_writable(const fs::path& folder, std::string_view option) {
  fs::path existing = fs::absolute(folder);
  while (!fs::exists(existing) && existing.has_parent_path()) existing = existing.parent_path();
  std::string pattern = (existing / ".m3d-bench-XXXXXX").string();
  const int descriptor = fs::is_directory(existing) ? mkstemp(pattern.data()) : -1;
  if (descriptor < 0) {
    const std::string why = fs::is_directory(existing) ? reason() : "not a folder";
    throw UserError("cannot write to " + folder.string() + " (" + why + "); give a writable folder with " +
                    std::string(option));
  }
  close(descriptor);
  unlink(pattern.c_str());
}

}  // namespace m3d
