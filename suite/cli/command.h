#pragma once
// How the subcommands and main meet: each file adds its subcommand to the parser; parsing sets what is to be done.
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace m3d {

/// What the user asked for; returns the exit code.
using Command = std::function<int()>;

// Each adds its options (main_job: to the program itself) and sets `chosen` when the user gives it.
void add_main_job(CLI::App& app, Command& chosen, const std::string& command_line);
void add_kernels(CLI::App& app, Command& chosen);
void add_list(CLI::App& app, Command& chosen);
void add_prepare(CLI::App& app, Command& chosen);
void add_profile(CLI::App& app, Command& chosen);
void add_evaluate(CLI::App& app, Command& chosen);
void add_predict(CLI::App& app, Command& chosen);
void add_ensemble(CLI::App& app, Command& chosen);
void add_report(CLI::App& app, Command& chosen);
void add_verify(CLI::App& app, Command& chosen);
void add_weights(CLI::App& app, Command& chosen);

/// The program's version and commit, LibTorch, ITK and the compiler, a line each.
std::string version_text();

/// The message for arguments that `app` does not know, with the nearest flag or subcommand.
std::string unknown_argument_message(const CLI::App& app);

}  // namespace m3d
