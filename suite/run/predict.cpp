#include "suite/run/predict.h"

#include <map>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "suite/infer/export.h"
#include "suite/infer/sliding_window.h"
#include "suite/run/harness.h"
#include "suite/run/run_folder.h"
#include "suite/train/checkpoint.h"
#include "suite/train/device.h"
#include "suite/train/targets.h"
#include "suite/train/trainer.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFirstChannelEnding = "_0000.nii.gz";

std::string channel_file_name(const std::string& id, std::size_t channel) {
  std::string number = std::to_string(channel);
  number.insert(0, 4 - std::min<std::size_t>(4, number.size()), '0');
  return id + "_" + number + ".nii.gz";
}

CaseFiles case_files(const fs::path& folder, const std::string& id, const Dataset& dataset) {
  CaseFiles files{id, {}, {}};
  for (std::size_t channel = 0; channel < dataset.channel_names.size(); ++channel) {
    files.channels.push_back(folder / channel_file_name(id, channel));
    if (!fs::exists(files.channels.back()))
      throw UserError("case '" + id + "' has no channel " + dataset.channel_names[channel] + ": " +
                      files.channels.back().string() + " is missing");
  }
  return files;
}

/// Sorted by id.
std::vector<CaseFiles> cases_in(const fs::path& folder, const Dataset& dataset) {
  if (!fs::is_directory(folder)) throw UserError("--input " + folder.string() + ": no such folder");
  std::map<std::string, CaseFiles> cases;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kFirstChannelEnding)) continue;
    const std::string id = name.substr(0, name.size() - std::string_view(kFirstChannelEnding).size());
    cases.emplace(id, case_files(folder, id, dataset));
  }
  if (cases.empty())
    throw UserError("--input " + folder.string() + ": no images; expected nnU-Net names like case_0000.nii.gz");
  std::vector<CaseFiles> sorted;
  for (auto& [id, files] : cases) sorted.push_back(std::move(files));
  return sorted;
}

std::shared_ptr<Network> network_of(const fs::path& folder, const RunConfig& config, const PredictionContext& context,
                                    const std::string& checkpoint) {
  const NetworkInput input{static_cast<std::int64_t>(context.dataset.channel_names.size()),
                           target_spec_of(context.dataset).channels(), context.patch};
  auto network = find_architecture(config.architecture).build(input, config.model, config.seed);
  load_weights(folder / (checkpoint == "best" ? "best.pt" : "checkpoint.pt"), *network);
  return network;
}

Predictor predictor_of(const fs::path& folder, const RunConfig& config, const PredictionContext& context) {
  Predictor predictor;
  predictor.dataset = context.dataset;
  predictor.patch = context.patch;
  predictor.settings = read_settings(config.settings).infer;
  predictor.device = config.device;
  predictor.precision = config.precision;
  predictor.network = network_of(folder, config, context, predictor.settings.checkpoint);
  predictor.network->to(torch_device(config.device));
  return predictor;
}

void require_done(const fs::path& folder, const RunConfig& config) {
  const RunInspection inspection = inspect_run(folder, config);
  if (inspection.state == RunState::done) return;
  throw UserError("--run " + folder.string() + " is not a finished run" +
                  (inspection.reason.empty() ? "" : " (" + inspection.reason + ")") +
                  "; finish it with m3d-bench --suite " + config.suite + " --dataset " + config.dataset);
}

}  // namespace

std::shared_ptr<Network> network_of_run(const fs::path& run_folder, const std::string& checkpoint) {
  const RunConfig config = read_run_config(run_folder);
  const std::string chosen = checkpoint.empty() ? read_settings(config.settings).infer.checkpoint : checkpoint;
  return network_of(run_folder, config, read_prediction_context(run_folder), chosen);
}

LabelImage Predictor::labels_of(const PreparedCase& prepared) const {
  const torch::NoGradGuard no_gradients;
  network->eval();
  SlidingWindowOptions options;
  options.patch = patch;
  options.overlap = settings.overlap;
  options.gaussian = settings.gaussian;
  if (settings.mirror) options.mirror_axes = {0, 1, 2};
  const torch::Tensor image =
      torch::from_blob(const_cast<float*>(prepared.image.data()),
                       {prepared.channels, prepared.shape[0], prepared.shape[1], prepared.shape[2]});
  const auto forward = [this](const torch::Tensor& tile) {
    const AutocastScope autocast(device, precision);
    return network->forward(tile.to(torch_device(device))).front().to(torch::kCPU, torch::kFloat32);
  };
  const torch::Tensor logits = predict_logits(forward, image, target_spec_of(dataset).channels(), options);
  return labels_from_logits(logits, dataset, prepared);
}

void predict_folder(const fs::path& run_folder, const fs::path& input, const fs::path& output) {
  const RunConfig config = read_run_config(run_folder);
  require_done(run_folder, config);
  require_device_and_precision(config.device, config.precision);
  const PredictionContext context = read_prediction_context(run_folder);
  const std::vector<CaseFiles> cases = cases_in(input, context.dataset);
  make_deterministic(config.seed);
  const Predictor predictor = predictor_of(run_folder, config, context);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (interrupt_requested()) throw Interrupted();
    const LoadedCase loaded = load_case(context.dataset, cases[i]);
    const PreparedCase prepared = prepare_case(context.dataset, context.fingerprint, loaded);
    write_labels(output / (cases[i].id + ".nii.gz"), predictor.labels_of(prepared));
    progress("predicting", static_cast<long>(i + 1), static_cast<long>(cases.size()));
  }
}

}  // namespace m3d
