#include "reports/process.h"

#include <sys/time.h>

#include <csignal>

#include "common/atomic_file.h"
#include "tests/reports/report_checks.h"

namespace fs = std::filesystem;
using namespace m3d;
using namespace m3d::reports;
using namespace m3d::testing;

namespace {

/// A signal every millisecond, whose handler interrupts system calls.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, &before_);
    const itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~SignalStorm() {
    const itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &before_, nullptr);
  }
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;

 private:
  struct sigaction before_ = {};
};

ProcessResult shell(const std::string& script, const fs::path& folder = ".") {
  return run_process({"sh", "-c", script}, folder);
}

}  // namespace

TEST_CASE("a program's output and exit code come back, and its failure in words") {
  const TemporaryFolder temporary("process");
  CHECK(shell("pwd", temporary.path()).output == temporary.path().string() + "\n");
  CHECK(shell("echo word; exit 0").failure.empty());
  const ProcessResult failed = shell("echo reason >&2; exit 3");
  CHECK(failed.exit_code == 3);
  CHECK(failed.failure == "exit code 3: reason\n");
  const ProcessResult absent = run_process({"no-such-program"}, ".");
  CHECK(absent.exit_code == 127);
  CHECK(absent.failure == "cannot be started: No such file or directory");
  const ProcessResult killed = shell("kill -9 $$");
  CHECK(killed.exit_code == 128 + SIGKILL);
  CHECK(killed.failure == "ended by signal 9 (Killed)");
}

TEST_CASE("signals that come while a program runs change nothing") {
  const SignalStorm storm;
  const ProcessResult result = shell("sleep 0.05; echo first; sleep 0.05; echo second; exit 4");
  CHECK(result.output == "first\nsecond\n");
  CHECK(result.exit_code == 4);
}

TEST_CASE("a program that a signal ended is tried once more") {
  const TemporaryFolder temporary("killed_process");
  const auto attempts = [&] { return read_file(temporary.path() / "attempts"); };
  const auto run = [&](const std::string& script) {
    return run_process_again_if_killed({"sh", "-c", "echo once >> attempts; " + script}, temporary.path());
  };
  CHECK(run("if [ -e killed ]; then exit 0; fi; touch killed; kill -9 $$").exit_code == 0);
  CHECK(attempts() == "once\nonce\n");
  fs::remove(temporary.path() / "attempts");
  CHECK(run("kill -9 $$").killed);
  CHECK(attempts() == "once\nonce\n");
  fs::remove(temporary.path() / "attempts");
  CHECK(run("exit 1").exit_code == 1);
  CHECK(attempts() == "once\n");
}
