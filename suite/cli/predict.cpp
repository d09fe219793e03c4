// m3d-bench predict: new images with a trained run.
#include <cstdio>

#include "common/atomic_file.h"
#include "suite/cli/command.h"
#include "suite/run/harness.h"

namespace m3d {
namespace {

struct PredictOptions {
  std::string run, input, output;
};

int run_predict(const PredictOptions& options) {
  require_writable(options.output, "--output");
  predict_folder(options.run, options.input, options.output);
  std::printf("%s\n", options.output.c_str());
  return 0;
}

}  // namespace

void add_predict(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<PredictOptions>();
  CLI::App* predict = app.add_subcommand("predict",
                                         "Segment images (nnU-Net names: case_0000.nii.gz, case_0001.nii.gz …) with "
                                         "a run's weights, in each case's own geometry.");
  predict->footer(
      "Example:\n"
      "  m3d-bench predict --run m3d-results/smoke/phantom_mri/ulike_mamba_3d-fold0-seed0-1a2b3c4d --input images "
      "--output predictions");
  predict->add_option("--run", options->run, "folder of a finished run")->required()->type_name("DIR");
  predict->add_option("--input", options->input, "folder of images")->required()->type_name("DIR");
  predict->add_option("--output", options->output, "folder for the predictions")->required()->type_name("DIR");
  predict->callback([options, &chosen] { chosen = [options] { return run_predict(*options); }; });
}

}  // namespace m3d
