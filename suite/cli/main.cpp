// m3d-bench: parses the command line, runs what was asked for, and turns errors into messages and exit codes.
#include <cstdio>
#include <filesystem>

#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "kernels/allocator_policy.h"
#include "kernels/tensor_memory.h"
#include "suite/cli/command.h"

namespace {

enum ExitCode { kDone = 0, kFailed = 1, kUserError = 2, kInterrupted = 130 };

constexpr const char* kDescription =
    "Benchmark and ablation suite for 3D medical image segmentation.\n\n"
    "Examples:\n"
    "  m3d-bench --suite smoke --dataset phantom_mri\n"
    "  m3d-bench --suite scanning --dataset totalseg_mri --axis 'scan=[single,tri]' --seed 0 --seed 1\n"
    "  m3d-bench --suite scanning --dataset phantom_mri --dry-run\n"
    "  m3d-bench list suites";

/// The arguments as they were typed, for the records.
std::string joined(int count, char** arguments) {
  std::string line = "m3d-bench";
  for (int i = 1; i < count; ++i) line += " " + std::string(arguments[i]);
  return line;
}

int user_error(const std::string& message) {
  std::fprintf(stderr, "m3d-bench: %s\n", message.c_str());
  return kUserError;
}

/// Paths that the user gave wrong; what else the file system refuses is no mistake of theirs.
bool is_user_error(const std::error_code& code) {
  return code == std::errc::too_many_symbolic_link_levels || code == std::errc::permission_denied ||
         code == std::errc::not_a_directory || code == std::errc::filename_too_long;
}

int file_system_error(const std::filesystem::filesystem_error& error) {
  const std::string message = error.path1().string() + ": " + error.code().message();
  if (is_user_error(error.code())) return user_error(message + "; check the path, its links and its permissions");
  std::fprintf(stderr, "m3d-bench: %s\n", message.c_str());
  return kFailed;
}

int run(const m3d::Command& command) {
  try {
    return command();
  } catch (const m3d::UserError& error) {
    return user_error(error.what());
  } catch (const m3d::Interrupted& interrupted) {
    std::fprintf(stderr, "m3d-bench: %s\n", interrupted.what());
    return kInterrupted;
  } catch (const std::filesystem::filesystem_error& error) {
    return file_system_error(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "m3d-bench: %s\n", error.what());
    return kFailed;
  }
}

}  // namespace

int main(int count, char** arguments) {
  m3d::keep_freed_memory();
  m3d::keep_freed_tensors();
  CLI::App app(kDescription, "m3d-bench");
  m3d::Command chosen;
  app.set_version_flag("--version", m3d::version_text);
  app.require_subcommand(0, 1);
  m3d::add_main_job(app, chosen, joined(count, arguments));
  for (const auto add : {m3d::add_list, m3d::add_prepare, m3d::add_profile, m3d::add_evaluate, m3d::add_predict,
                         m3d::add_ensemble, m3d::add_report, m3d::add_verify, m3d::add_weights, m3d::add_kernels})
    add(app, chosen);
  try {
    app.parse(count, arguments);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ExtrasError&) {
    return user_error(m3d::unknown_argument_message(app));
  } catch (const CLI::ParseError& error) {
    return user_error(std::string(error.what()) + "; see m3d-bench --help");
  }
  if (!chosen) return std::puts(app.help().c_str()) < 0 ? kFailed : kDone;
  m3d::catch_interrupts();
  return run(chosen);
}
