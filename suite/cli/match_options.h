#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "architectures/width.h"

namespace m3d {

/// --match and --like.
void add_match_options(CLI::App& app, std::string& match, std::string& like);

/// The budget that --match names. Throws UserError where one of the two options is missing.
Budget budget_named(const std::string& match, const std::string& like);

}  // namespace m3d
