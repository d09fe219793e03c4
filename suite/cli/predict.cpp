// m3d-bench predict: new images with a trained run.
#include <cstdio>

#include "common/atomic_file.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"
#include "suite/run/harness.h"

namespace m3d {
namespace {

int run_predict(const PredictionRequest& request) {
  require_writable(request.output, "--output");
  predict_folder(request);
  std::printf("%s\n", request.output.c_str());
  return 0;
}

struct EnsembleOptions {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path output;
};

int run_ensemble(const EnsembleOptions& options) {
  require_writable(options.output, "--output");
  ensemble_folders(options.inputs, options.output);
  std::printf("%s\n", options.output.c_str());
  return 0;
}

}  // namespace

void add_predict(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<PredictionRequest>();
  CLI::App* predict = app.add_subcommand("predict",
                                         "Segment images (nnU-Net names: case_0000.nii.gz, case_0001.nii.gz …) with "
                                         "a run's weights, in each case's own geometry.");
  predict->footer(
      "Examples:\n"
      "  m3d-bench predict --run m3d-results/smoke/phantom_mri/ulike_mamba_3d-fold0-seed0-1a2b3c4d --input images "
      "--output predictions\n"
      "  m3d-bench predict --run FOLD0 --run FOLD1 --run FOLD2 --input images --output predictions   (mean of logits)");
  predict
      ->add_option("--run", options->runs,
                   "a finished run, or a folder of runs that differ in fold or seed; several: "
                   "their mean")
      ->required()
      ->type_name("DIR");
  predict->add_option("--input", options->input, "folder of images")->required()->type_name("DIR");
  predict->add_option("--output", options->output, "folder for the predictions")->required()->type_name("DIR");
  predict->add_option("--device", options->device, "cpu or cuda (default: the run's)")
      ->check(one_of("--device", {"cpu", "cuda"}));
  predict
      ->add_option("--previous-stage", options->previous_stage,
                   "for runs of 3d_cascade_fullres: the folder of 3d_lowres' predictions of the same images")
      ->type_name("DIR");
  predict->add_flag("--save-probabilities", options->save_probabilities,
                    "also write <case>.npy (float32 [K, D, H, W]), for m3d-bench ensemble");
  predict->callback([options, &chosen] { chosen = [options] { return run_predict(*options); }; });
}

void add_ensemble(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<EnsembleOptions>();
  CLI::App* ensemble = app.add_subcommand(
      "ensemble", "Average the probabilities that predictions of several configurations saved, and segment by them.");
  ensemble->footer(
      "Example:\n"
      "  m3d-bench predict --run A --input images --output a --save-probabilities\n"
      "  m3d-bench predict --run B --input images --output b --save-probabilities\n"
      "  m3d-bench ensemble --input a --input b --output both");
  ensemble->add_option("--input", options->inputs, "folder of predictions with probabilities; give it several times")
      ->required()
      ->type_name("DIR");
  ensemble->add_option("--output", options->output, "folder for the predictions")->required()->type_name("DIR");
  ensemble->callback([options, &chosen] { chosen = [options] { return run_ensemble(*options); }; });
}

}  // namespace m3d
