#pragma once
// Runs the built m3d-bench in a folder of its own and sees what a user sees.
#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d::test {

struct Outcome {
  int exit_code = -1;  // 128 + signal where a signal ended it
  std::string out, err;
  double seconds = 0;
  Json json() const { return Json::parse(out); }
  std::string last_line() const;
};

/// A temporary folder that is removed at the end.
class Workplace {
 public:
  Workplace();
  ~Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

/// A started program. Its working directory is `place`, its environment this process's without nnU-Net's variables.
class Program {
 public:
  Program(const Workplace& place, const std::vector<std::string>& arguments);
  pid_t pid() const { return pid_; }
  void signal(int number) const;
  Outcome wait();

 private:
  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
  double started_ = 0;
};

Outcome run(const Workplace& place, const std::vector<std::string>& arguments);

/// Waits until a file whose path ends with `ending` exists under `folder`, at most a minute; false when it never did.
bool wait_for_file(const std::filesystem::path& folder, const std::string& ending);
std::vector<std::filesystem::path> files_under(const std::filesystem::path& folder, const std::string& ending);

}  // namespace m3d::test
