#include "common/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <mutex>
#include <string>

namespace m3d {
namespace {

bool stderr_is_terminal() {
  static const bool is_terminal = isatty(STDERR_FILENO) != 0;
  return is_terminal;
}

spdlog::logger& logger() {
  static const auto instance = [] {
    const auto mode = std::getenv("NO_COLOR") ? spdlog::color_mode::never : spdlog::color_mode::automatic;
    auto made = spdlog::stderr_color_mt("m3d-bench", mode);
    made->set_pattern("%^%l%$: %v");
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void log(LogLevel level, std::string_view message) {
  logger().log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

void set_log_level(LogLevel lowest) { logger().set_level(to_spdlog(lowest)); }

void progress(std::string_view what, long done, long total) {
  using clock = std::chrono::steady_clock;
  static std::mutex mutex;
  static clock::time_point last{};
  const std::lock_guard lock(mutex);
  const auto now = clock::now();
  const auto pause = stderr_is_terminal() ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (done != total && now - last < pause) return;
  last = now;
  const std::string line(what);
  if (stderr_is_terminal()) {
    std::fprintf(stderr, "\r\033[K%s %ld/%ld%s", line.c_str(), done, total, done == total ? "\n" : "");
    std::fflush(stderr);
  } else if (done != total) {
    log(LogLevel::info, line + " " + std::to_string(done) + "/" + std::to_string(total));
  }
}

}  // namespace m3d
