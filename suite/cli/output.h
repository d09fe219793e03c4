#pragma once
// What several subcommands print and check alike.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

/// One document on stdout; returns exit code 0.
int print_json(const Json& document);

/// "24.30 M", "45.83 G".
std::string short_count(std::int64_t count);

/// Columns padded to their widest entry, two spaces between; the last column is not padded.
void print_table(const std::vector<std::vector<std::string>>& rows);

/// Accepts only `known`; the message has the nearest of them.
CLI::Validator one_of(const std::string& kind, const std::vector<std::string>& known);

}  // namespace m3d
