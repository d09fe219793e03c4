#include "reports/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/error.h"

extern char** environ;

namespace m3d::reports {
namespace {

/// Calls again what a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t count; (count = uninterrupted([&] { return read(descriptor, buffer.data(), buffer.size()); })) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(count));
  return text;
}

/// Starts the program with stdout and stderr at `output`; the error number where it cannot be.
int start(const std::vector<std::string>& arguments, const std::filesystem::path& folder, int output, pid_t& child) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int failure = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

void set_ending(ProcessResult& result, int status) {
  result.killed = WIFSIGNALED(status);
  result.exit_code = result.killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (result.killed)
    result.failure = "ended by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
  else if (result.exit_code != 0)
    result.failure = "exit code " + std::to_string(result.exit_code);
  if (!result.failure.empty() && !result.output.empty()) result.failure += ": " + result.output;
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& arguments, const std::filesystem::path& folder) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw RunError("no pipe for " + arguments.front());
  pid_t child = 0;
  const int failure = start(arguments, folder, ends[1], child);
  close(ends[1]);
  ProcessResult result;
  if (failure == 0) {
    result.output = read_all(ends[0]);
    int status = 0;
    uninterrupted([&] { return waitpid(child, &status, 0); });
    set_ending(result, status);
  } else {
    result.exit_code = 127;
    result.failure = std::string("cannot be started: ") + std::strerror(failure);
  }
  close(ends[0]);
  return result;
}

ProcessResult run_process_again_if_killed(const std::vector<std::string>& arguments,
                                          const std::filesystem::path& folder) {
  const ProcessResult first = run_process(arguments, folder);
  return first.killed ? run_process(arguments, folder) : first;
}

}  // namespace m3d::reports
