#include "datasets/images/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "common/error.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr unsigned kBuffer = 1U << 18;
constexpr std::size_t kLargestRead = std::size_t{1} << 30;  // gzread counts in unsigned int

UserError cannot_open(const fs::path& file, int code) {
  const std::string start = "cannot read " + file.string() + ": ";
  switch (code) {
    case ENOENT:
    case ENOTDIR:
      return UserError(start + "no such file");
    case EACCES:
    case EPERM:
      return UserError(start + "permission denied; check its and its folders' permissions");
    case ELOOP:
      return UserError(start + "symbolic links that lead in a circle; replace the link by the file");
    default:
      return UserError(start + std::generic_category().message(code));
  }
}

/// O_NONBLOCK: a pipe without a writer must not be waited for.
int open_regular(const fs::path& file, std::uint64_t& size) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw cannot_open(file, errno);
  struct stat status {};
  const bool known = fstat(descriptor, &status) == 0;
  if (known && S_ISREG(status.st_mode) && status.st_size > 0) {
    size = static_cast<std::uint64_t>(status.st_size);
    return descriptor;
  }
  close(descriptor);
  if (known && S_ISDIR(status.st_mode))
    throw UserError("cannot read " + file.string() + ": it is a folder, not a file");
  if (known && S_ISREG(status.st_mode))
    throw UserError(file.string() + ": empty (cut off before its first byte); copy or download the file again");
  throw UserError("cannot read " + file.string() + ": it is a pipe, a socket or a device, not a regular file");
}

}  // namespace

void ByteStream::Closer::operator()(void* stream) const { gzclose(static_cast<gzFile>(stream)); }

ByteStream::ByteStream(const fs::path& file) : file_(file) {
  const int descriptor = open_regular(file, stored_bytes_);
  std::array<unsigned char, 2> start{};
  compressed_ = pread(descriptor, start.data(), start.size(), 0) == 2 && start[0] == 0x1f && start[1] == 0x8b;
  stream_.reset(gzdopen(descriptor, "rb"));
  if (!stream_) {
    close(descriptor);
    throw RunError("not enough memory to read " + file.string());
  }
  gzbuffer(static_cast<gzFile>(stream_.get()), kBuffer);
}

std::size_t ByteStream::read(void* target, std::size_t count) {
  const auto stream = static_cast<gzFile>(stream_.get());
  std::size_t done = 0;
  while (done < count) {
    const auto part = static_cast<unsigned>(std::min(count - done, kLargestRead));
    const int got = gzread(stream, static_cast<char*>(target) + done, part);
    done += static_cast<std::size_t>(std::max(got, 0));
    if (got < static_cast<int>(part)) break;
  }
  position_ += done;
  int code = Z_OK;
  if (done < count) gzerror(stream, &code);
  if (code == Z_ERRNO) throw UserError("cannot read " + file_.string() + ": the disk or network reports an error");
  if (code != Z_OK)
    throw UserError(file_.string() + ": truncated or damaged (its compressed data ends or breaks after " +
                    std::to_string(position_) + " bytes); copy or download the file again");
  return done;
}

void ByteStream::skip(std::uint64_t count) {
  std::vector<char> waste(std::min<std::uint64_t>(count, kBuffer));
  while (count > 0) {
    const std::size_t part = std::min<std::uint64_t>(count, waste.size());
    if (read(waste.data(), part) < part) return;
    count -= part;
  }
}

void ByteStream::finish() {
  std::vector<char> waste(kBuffer);
  while (read(waste.data(), waste.size()) == waste.size()) {
  }
}

}  // namespace m3d
