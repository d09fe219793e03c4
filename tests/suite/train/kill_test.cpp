#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/interrupt.h"
#include "suite/train/checkpoint.h"
#include "tests/catch.h"
#include "tests/suite/train/toy.h"

extern char** environ;

namespace m3d {
namespace {

namespace fs = std::filesystem;

/// Long enough to be stopped in the middle, with a checkpoint after each step: 4 epochs of 10 steps, over 10 ms a step.
TrainingRecipe slow_recipe() {
  TrainingRecipe recipe = toy::recipe();
  recipe.draw = [](std::int64_t step) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return toy::draw(step);
  };
  recipe.epochs = 4;
  recipe.iterations_per_epoch = 10;
  recipe.checkpoint_every_steps = 1;
  return recipe;
}

/// Starts this program again to train in `folder` (the hidden test case below).
pid_t start_victim(const fs::path& folder) {
  setenv("M3D_TEST_VICTIM_FOLDER", folder.c_str(), 1);
  const std::string program = fs::read_symlink("/proc/self/exe").string();
  const char* arguments[] = {program.c_str(), "[victim]", nullptr};
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, program.c_str(), &quiet, nullptr, const_cast<char**>(arguments), environ) == 0);
  posix_spawn_file_actions_destroy(&quiet);
  return child;
}

std::int64_t finished_steps(const fs::path& folder) {
  if (!fs::exists(folder / "checkpoint.pt")) return 0;
  toy::TwoConvolutions network(5);
  auto optimiser = toy::recipe().make_optimiser(network.parameters());
  return load_checkpoint(folder / "checkpoint.pt", network, *optimiser, toy::recipe().hash).step;
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

/// Sends `signal` to a new victim at an arbitrary moment after it has passed `steps`; returns its wait status.
int stop_victim(const fs::path& folder, std::int64_t steps, int extra_microseconds, int signal) {
  const pid_t child = start_victim(folder);
  while (finished_steps(folder) < steps) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  std::this_thread::sleep_for(std::chrono::microseconds(extra_microseconds));
  kill(child, signal);
  return wait_for(child);
}

void require_same_end(const fs::path& a, const fs::path& b) {
  CHECK(read_file(a / "checkpoint.pt") == read_file(b / "checkpoint.pt"));
  CHECK(read_file(a / "best.pt") == read_file(b / "best.pt"));
}

TEST_CASE("The victim of the next tests", "[.victim]") {
  const char* folder = std::getenv("M3D_TEST_VICTIM_FOLDER");
  REQUIRE(folder != nullptr);
  catch_interrupts();
  try {
    toy::train_in(folder, slow_recipe());
  } catch (const Interrupted&) {
    _exit(130);
  }
}

TEST_CASE("A run killed by SIGKILL again and again ends with the bytes of one never killed") {
  const toy::Folder whole("kill-whole"), killed("kill-killed");
  toy::train_in(whole.path, slow_recipe());
  int extra = 0;
  for (const std::int64_t steps : {1, 9, 18, 27}) {
    const int status = stop_victim(killed.path, steps, extra += 730, SIGKILL);
    CHECK(WIFSIGNALED(status));
  }
  REQUIRE(wait_for(start_victim(killed.path)) == 0);
  require_same_end(whole.path, killed.path);
}

TEST_CASE("SIGINT finishes the step, saves and ends with 130; the run goes on with the same bytes") {
  const toy::Folder whole("int-whole"), stopped("int-stopped");
  toy::train_in(whole.path, slow_recipe());
  const int status = stop_victim(stopped.path, 5, 0, SIGINT);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(finished_steps(stopped.path) < 40);
  REQUIRE(wait_for(start_victim(stopped.path)) == 0);
  require_same_end(whole.path, stopped.path);
}

}  // namespace
}  // namespace m3d
