#include "tests/cli/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "common/atomic_file.h"

namespace m3d::test {
namespace fs = std::filesystem;
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

[[noreturn]] void become_program(const fs::path& place, const fs::path& out, const fs::path& err,
                                 const std::vector<std::string>& arguments) {
  for (const char* name : {"nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"}) unsetenv(name);
  std::vector<char*> list;
  static const std::string program = M3D_PROGRAM;
  list.push_back(const_cast<char*>(program.c_str()));
  for (const auto& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
  list.push_back(nullptr);
  const int out_file = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const int err_file = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (chdir(place.c_str()) == 0 && dup2(out_file, STDOUT_FILENO) >= 0 && dup2(err_file, STDERR_FILENO) >= 0)
    execv(program.c_str(), list.data());
  _exit(127);
}

}  // namespace

std::string Outcome::last_line() const {
  std::string text = out;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

Workplace::Workplace() {
  std::string pattern = (fs::temp_directory_path() / "m3d-cli-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = pattern;
}

Workplace::~Workplace() {
  std::error_code ignored;
  fs::permissions(path_, fs::perms::owner_all, ignored);
  fs::remove_all(path_, ignored);
}

fs::path Workplace::write(const std::string& name, const std::string& text) const {
  write_atomically(path_ / name, text);
  return path_ / name;
}

Program::Program(const Workplace& place, const std::vector<std::string>& arguments) {
  static int count = 0;
  const std::string name = ".stream-" + std::to_string(++count);
  out_ = place.path() / (name + ".out");
  err_ = place.path() / (name + ".err");
  started_ = now();
  pid_ = fork();
  if (pid_ == 0) become_program(place.path(), out_, err_, arguments);
  if (pid_ < 0) throw std::runtime_error("cannot start " M3D_PROGRAM);
}

void Program::signal(int number) const { kill(pid_, number); }

Outcome Program::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return {code, read_file(out_), read_file(err_), now() - started_};
}

Outcome run(const Workplace& place, const std::vector<std::string>& arguments) {
  return Program(place, arguments).wait();
}

std::vector<fs::path> files_under(const fs::path& folder, const std::string& ending) {
  std::vector<fs::path> found;
  std::error_code vanished;
  for (auto at = fs::recursive_directory_iterator(folder, vanished); at != fs::recursive_directory_iterator();
       at.increment(vanished)) {
    if (at->path().string().ends_with(ending)) found.push_back(at->path());
    if (vanished) break;
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool wait_for_file(const fs::path& folder, const std::string& ending) {
  for (const double begun = now(); now() - begun < 60;) {
    if (!files_under(folder, ending).empty()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

}  // namespace m3d::test
