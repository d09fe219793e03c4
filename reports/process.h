#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace m3d::reports {

struct ProcessResult {
  int exit_code = 0;  // 127 where the program cannot be started, 128 + signal where one ended it
  bool killed = false;
  std::string output;   // stdout and stderr
  std::string failure;  // why there is no exit code 0, with the output; empty where there is
};

/// Runs `arguments[0]` (searched in PATH, no shell) in `folder` and waits for it, whatever signals come meanwhile.
ProcessResult run_process(const std::vector<std::string>& arguments, const std::filesystem::path& folder);

/// As run_process; once more where a signal ended it (the kernel's, when memory was short for a moment: a script cannot
/// do that).
ProcessResult run_process_again_if_killed(const std::vector<std::string>& arguments,
                                          const std::filesystem::path& folder);

}  // namespace m3d::reports
