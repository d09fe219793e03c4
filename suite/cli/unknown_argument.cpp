#include "common/nearest_name.h"
#include "suite/cli/command.h"

namespace m3d {
namespace {

const CLI::App& innermost(const CLI::App& app) {
  const auto given = app.get_subcommands();
  return given.empty() ? app : innermost(*given.front());
}

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options())
    for (const auto& name : option->get_lnames()) flags.push_back("--" + name);
  return flags;
}

std::vector<std::string> subcommands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* subcommand : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(subcommand->get_name());
  return names;
}

}  // namespace

std::string unknown_argument_message(const CLI::App& app) {
  const auto extras = app.remaining(true);
  if (extras.empty()) return "an argument is not understood";
  const CLI::App& command = innermost(app);
  std::string wrong = extras.front();
  for (const auto& extra : extras)
    if (extra.starts_with("-")) {
      wrong = extra.substr(0, extra.find('='));
      return unknown_name_message("option", wrong, flags_of(command));
    }
  if (const auto names = subcommands_of(command); !names.empty())
    return unknown_name_message("subcommand", wrong, names);
  return "unexpected argument '" + wrong + "'; see m3d-bench " + command.get_name() + " --help";
}

}  // namespace m3d
