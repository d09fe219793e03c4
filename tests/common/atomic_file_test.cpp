#include "common/atomic_file.h"

#include <sys/wait.h>
#include <unistd.h>

#include "common/error.h"
#include "tests/catch.h"
#include "tests/full_disk.h"
#include "tests/ordinary_user.h"

using namespace m3d;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {
struct TemporaryFolder {
  fs::path path = fs::temp_directory_path() / ("m3d-test-" + std::to_string(getpid()));
  TemporaryFolder() { fs::create_directories(path); }
  ~TemporaryFolder() { fs::remove_all(path); }
};
}  // namespace

TEST_CASE("a failing writer leaves the old content and no debris") {
  const TemporaryFolder folder;
  const fs::path file = folder.path / "record.json";
  write_atomically(file, "old");
  const auto fails = [](const fs::path& temporary) {
    write_atomically(temporary, "half");
    throw RunError("disk full");
  };
  REQUIRE_THROWS_AS(write_atomically(file, std::function<void(const fs::path&)>(fails)), RunError);
  CHECK(read_file(file) == "old");
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("a disk that fills up leaves the old content and no debris") {
  const TemporaryFolder folder;
  write_atomically(folder.path / "record.json", "old");
  {
    const test::FullDisk full(1000);
    CHECK_THROWS_WITH(write_atomically(folder.path / "record.json", std::string(5000, 'x')), Contains("record.json"));
  }
  CHECK(read_file(folder.path / "record.json") == "old");
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("a folder has one holder, and the lock dies with its process") {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock held(folder.path / "run");
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const FolderLock mine(folder.path / "run");
  const pid_t second = fork();
  if (second == 0) {
    try {
      const FolderLock refused(folder.path / "run");
    } catch (const UserError& error) {
      const bool names_holder = std::string(error.what()).find(std::to_string(getppid())) != std::string::npos;
      _exit(names_holder ? 7 : 8);
    }
    _exit(9);
  }
  int status = 0;
  waitpid(second, &status, 0);
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("an unwritable folder is a user error that names the option") {
  const TemporaryFolder folder;
  fs::create_directory(folder.path / "locked");
  fs::permissions(folder.path / "locked", fs::perms{0555});
  {
    const test::OrdinaryUser user;
    for (const char* name : {"locked", "locked/below"})
      REQUIRE_THROWS_WITH(require_writable(folder.path / name, "--out"), Contains("locked") && Contains("--out"));
  }
  write_atomically(folder.path / "file", "x");
  REQUIRE_THROWS_WITH(require_writable(folder.path / "file" / "below", "--out"), Contains("--out"));
  REQUIRE_NOTHROW(require_writable(folder.path / "new" / "deep", "--out"));
  CHECK_FALSE(fs::exists(folder.path / "new"));
}
