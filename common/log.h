#pragma once
// Logging to stderr behind one function, so that no other file includes spdlog (its fmt clashes with torch's).
#include <string_view>

namespace m3d {

enum class LogLevel { debug, info, warning, error };

/// Writes one line to stderr. Thread-safe. Colour only on a terminal and never with NO_COLOR.
void log(LogLevel level, std::string_view message);
void set_log_level(LogLevel lowest);

/// A progress line: redrawn in place on a terminal; elsewhere one plain line at most every ten seconds.
/// `done` of `total`; the last one (done == total) ends the line.
void progress(std::string_view what, long done, long total);

}  // namespace m3d
