#include "suite/run/provenance.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <ctime>

#include "common/version.h"
#include "suite/train/device.h"

namespace m3d {
namespace {

std::string compiler() {
#ifdef __clang__
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

/// "13.0" of the CUDA runtime in this process; null where there is none.
Json cuda_version() {
  const auto& hooks = at::detail::getCUDAHooks();
  if (!hooks.hasCUDART()) return {};
  const long version = hooks.versionCUDART();  // 1000 * major + 10 * minor
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm fields{};
  gmtime_r(&now, &fields);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &fields);
  return text;
}

Json provenance_json(const RunConfig& config, const std::string& started, const std::string& finished,
                     const std::string& command) {
  Json json = {{"version", program_version()},
               {"git_commit", git_commit()},
               {"compiler", compiler()},
               {"libtorch", TORCH_VERSION},
               {"cuda", cuda_version()},
               {"cpu", cpu_name()},
               {"gpu", Json()},
               {"threads", at::get_num_threads()},
               {"precision", config.precision},
               {"started", started},
               {"finished", finished},
               {"command", command}};
  if (config.device == "cuda") json["gpu"] = device_name("cuda");
  return json;
}

}  // namespace m3d
