// m3d-bench import-weights and export-weights: weights of other programs in, ours out.
#include <cstdio>

#include "suite/cli/command.h"
#include "suite/cli/model_options.h"
#include "suite/cli/output.h"
#include "suite/run/harness.h"
#include "suite/weights/match_weights.h"

namespace m3d {
namespace {

struct ImportOptions {
  std::string architecture, weights, place, output;
  std::vector<std::string> set;
  std::vector<std::int64_t> patch = {128, 128, 128};
  std::int64_t channels = 1, classes = 2;
  bool json = false;
};

int run_import(const ImportOptions& options) {
  const Architecture& architecture = find_architecture(options.architecture);
  const Json model = model_options(architecture, options.set);
  const NetworkInput input{options.channels, options.classes, {options.patch[0], options.patch[1], options.patch[2]}};
  const auto network = architecture.build(input, model, /*seed=*/0);
  const StateFile file = read_state_file(options.weights, options.place);
  const WeightMatch match = fill_network(*network, architecture, file.tensors, options.weights);
  if (!options.output.empty()) write_state_file(options.output, state_of(*network));
  const Json result = {{"architecture", architecture.name}, {"weights", options.weights},  {"format", file.format},
                       {"place", file.place},               {"prefix", match.prefix},      {"filled", match.filled},
                       {"aliases", match.aliases},          {"output", options.output}};
  if (options.json) return print_json(result);
  std::printf("%s (%s): %zu tensors fit %s, %zu of them also under a second name\n", options.weights.c_str(),
              file.format.c_str(), match.filled, architecture.title.c_str(), match.aliases);
  if (!options.output.empty()) std::printf("%s\n", options.output.c_str());
  return 0;
}

struct ExportOptions {
  std::string run, checkpoint, output;
};

int run_export(const ExportOptions& options) {
  const auto network = network_of_run(options.run, options.checkpoint);
  write_state_file(options.output, state_of(*network));
  std::printf("%s\n", options.output.c_str());
  return 0;
}

void add_import(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* import = app.add_subcommand(
      "import-weights", "Check that a file of weights (safetensors; PyTorch's .pt, .pth; nnU-Net's checkpoints) fits an "
                        "architecture, and convert it. Nothing in the file is run. To evaluate such weights: --set "
                        "train.initial_weights=FILE train.epochs=0.");
  import->footer(
      "Examples:\n"
      "  m3d-bench import-weights --weights checkpoint_final.pth --architecture nnunet_plain --channels 4 --classes 4\n"
      "  m3d-bench import-weights --weights model.pt --architecture segmamba --output model.safetensors\n"
      "  m3d-bench --suite comparison --dataset brats23 --architecture segmamba --set train.initial_weights=model.pt "
      "train.epochs=0");
  import->add_option("--weights", options->weights, "file to read")->required()->type_name("FILE");
  import->add_option("--architecture", options->architecture, "name; see list architectures")->required();
  import->add_option("--set", options->set, "an option of the architecture, as in depths=[2,2,2,2]")
      ->type_name("KEY=VALUE");
  import->add_option("--key", options->place, "where the tensors are in the file, as in ema.state_dict (default: found)")
      ->type_name("KEY");
  import->add_option("--patch", options->patch, "voxels (default 128,128,128)")
      ->delimiter(',')
      ->expected(3)
      ->type_name("D,H,W");
  import->add_option("--channels", options->channels, "input channels (default 1)")->check(CLI::PositiveNumber);
  import->add_option("--classes", options->classes, "output classes, background included (default 2)")
      ->check(CLI::PositiveNumber);
  import->add_option("--output", options->output, "write them as .safetensors, .pt or .pth")->type_name("FILE");
  import->add_flag("--json", options->json, "one JSON document on stdout");
  import->callback([options, &chosen] { chosen = [options] { return run_import(*options); }; });
}

void add_export(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* export_weights = app.add_subcommand(
      "export-weights", "Write a run's weights, under the original's names, as safetensors or as a PyTorch state "
                        "dictionary (torch.load reads it with weights_only=True).");
  export_weights->footer("Example:\n  m3d-bench export-weights --run m3d-results/smoke/phantom_mri/RUN --output "
                         "weights.safetensors");
  export_weights->add_option("--run", options->run, "folder of a run")->required()->type_name("DIR");
  export_weights->add_option("--checkpoint", options->checkpoint, "final or best (default: the one the run predicts with)")
      ->check(one_of("--checkpoint", {"final", "best"}));
  export_weights->add_option("--output", options->output, ".safetensors, .pt or .pth")->required()->type_name("FILE");
  export_weights->callback([options, &chosen] { chosen = [options] { return run_export(*options); }; });
}

}  // namespace

void add_weights(CLI::App& app, Command& chosen) {
  add_import(app, chosen);
  add_export(app, chosen);
}

}  // namespace m3d
