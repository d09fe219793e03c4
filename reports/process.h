#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace m3d::reports {

struct ProcessResult {
  int exit_code = 0;   // 127 where the program cannot be started
  std::string output;  // stdout and stderr
};

/// Runs `arguments[0]` (searched in PATH, no shell) in `folder` and waits for it.
ProcessResult run_process(const std::vector<std::string>& arguments, const std::filesystem::path& folder);

}  // namespace m3d::reports
