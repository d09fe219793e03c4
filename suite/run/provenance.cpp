#include "suite/run/provenance.h"

#include <torch/torch.h>
#include <torch/version.h>

#include "common/version.h"
#include "kernels/device_facts.h"
#include "suite/train/device.h"

namespace m3d {

Json provenance_json(const RunConfig& config, const std::string& started, const std::string& finished,
                     const std::string& command) {
  Json json = {{"version", program_version()},
               {"git_commit", git_commit()},
               {"compiler", compiler_name()},
               {"libtorch", TORCH_VERSION},
               {"cuda", Json()},
               {"cpu", cpu_name()},
               {"gpu", Json()},
               {"threads", at::get_num_threads()},
               {"precision", config.precision},
               {"started", started},
               {"finished", finished},
               {"command", command}};
  if (const std::string version = cuda_version(); !version.empty()) json["cuda"] = version;
  if (config.device == "cuda") json["gpu"] = device_name(torch_device("cuda"));
  return json;
}

}  // namespace m3d
