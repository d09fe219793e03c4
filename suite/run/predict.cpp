#include "suite/run/predict.h"

#include <algorithm>
#include <list>
#include <map>
#include <stdexcept>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "datasets/images/image_endings.h"
#include "datasets/preprocessing/planned_preprocessing.h"
#include "suite/infer/cropped_logits.h"
#include "suite/infer/export.h"
#include "suite/infer/probability_file.h"
#include "suite/infer/sliding_window.h"
#include "suite/profile/resident_memory.h"
#include "suite/run/cascade.h"
#include "suite/run/harness.h"
#include "suite/run/run_folder.h"
#include "suite/train/checkpoint.h"
#include "suite/train/device.h"
#include "suite/train/targets.h"
#include "suite/train/trainer.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kFirstChannel = "_0000";

CaseFiles case_files(const fs::path& folder, const std::string& id, const std::string& ending, const Dataset& dataset) {
  CaseFiles files{id, {}, {}};
  for (std::size_t channel = 0; channel < dataset.channel_names.size(); ++channel) {
    files.channels.push_back(folder / channel_file_name(id, channel, ending));
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
    const std::string name = entry.path().filename().string(), ending = image_ending(entry.path());
    const std::string stem = name.substr(0, name.size() - ending.size());
    if (ending.empty() || stem.size() <= kFirstChannel.size() || !stem.ends_with(kFirstChannel)) continue;
    const std::string id = stem.substr(0, stem.size() - kFirstChannel.size());
    if (!cases.emplace(id, case_files(folder, id, ending, dataset)).second)
      throw UserError("--input " + folder.string() + ": case '" + id + "' is there with two endings; keep one of them");
  }
  if (cases.empty())
    throw UserError("--input " + folder.string() + ": no images; expected nnU-Net names like case_0000.nii.gz (or " +
                    Json(image_endings()).dump() + ")");
  std::vector<CaseFiles> sorted;
  for (auto& [id, files] : cases) sorted.push_back(std::move(files));
  return sorted;
}

/// A cascade's cases get the first stage's segmentations in the place of labels.
void add_previous_stage(const PredictionRequest& request, const std::string& stage, std::vector<CaseFiles>& cases) {
  const fs::path& folder = request.previous_stage;
  if (stage.empty() && folder.empty()) return;
  if (stage.empty()) throw UserError("--previous-stage is for runs of 3d_cascade_fullres; these runs see images alone");
  if (folder.empty())
    throw UserError("the runs are the second stage of a cascade: predict with a run of " + stage +
                    " first and name its --output here with --previous-stage");
  if (!fs::is_directory(folder)) throw UserError("--previous-stage " + folder.string() + ": no such folder");
  for (CaseFiles& files : cases) {
    files.labels = image_file(folder, files.id);
    if (!fs::exists(files.labels))
      throw UserError("--previous-stage " + folder.string() + ": case '" + files.id + "' has no segmentation there (" +
                      files.labels.filename().string() + "); predict it with a run of " + stage + " first");
  }
}

std::shared_ptr<Network> network_of(const fs::path& folder, const RunConfig& config, const PredictionContext& context,
                                    const std::string& checkpoint) {
  const NetworkInput input{input_channels(context.dataset, context.plan), target_spec_of(context.dataset).channels(),
                           context.patch};
  const Architecture& architecture = find_architecture(config.architecture);
  const Json model =
      context.plan ? planned_model(architecture, config.model, *context.plan, context.patch) : config.model;
  auto network = architecture.build(input, model, config.seed);
  load_weights(folder / (checkpoint == "best" ? "best.pt" : "checkpoint.pt"), *network);
  return network;
}

void require_done(const fs::path& folder, const RunConfig& config) {
  const RunInspection inspection = inspect_run(folder, config);
  if (inspection.state == RunState::done) return;
  throw UserError("--run " + folder.string() + " is not a finished run" +
                  (inspection.reason.empty() ? "" : " (" + inspection.reason + ")") +
                  "; finish it with m3d-bench --suite " + config.suite + " --dataset " + config.dataset);
}

/// The run folders that `given` names: itself, or those in it.
std::vector<fs::path> run_folders_in(const fs::path& given) {
  if (!fs::is_directory(given) || fs::exists(given / "config.yaml")) return {given};
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(given))
    if (fs::exists(entry.path() / "config.yaml")) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders.empty() ? std::vector<fs::path>{given} : folders;
}

/// What members of an ensemble have in common.
Json common_identity(const RunConfig& config) {
  Json identity = config.identity();
  identity.erase("fold");
  identity.erase("seed");
  return identity;
}

/// Finished runs that differ in fold or seed alone.
class Ensemble {
 public:
  explicit Ensemble(const PredictionRequest& request) : output_(request.output) {
    for (const fs::path& given : request.runs)
      for (const fs::path& folder : run_folders_in(given)) add(folder);
    device_ = request.device.empty() ? members_.front().config.device : request.device;
    require_device_and_precision(device_, members_.front().config.precision);
  }

  const Dataset& dataset() const { return members_.front().context.dataset; }
  /// The configuration whose segmentations are input too; empty unless these are the second stage of a cascade.
  std::string previous_stage() const {
    const std::optional<RunPlan>& plan = members_.front().context.plan;
    return plan ? plan->configuration.previous_stage : "";
  }
  std::string context_text() const { return read_file(members_.front().folder / "data.json"); }

  Predictor predictor() const {
    const Member& first = members_.front();
    make_deterministic(first.config.seed);
    Predictor predictor{{},
                        first.context.dataset,
                        first.context.patch,
                        read_settings(first.config.settings).infer,
                        device_,
                        first.config.precision,
                        output_};
    for (const Member& member : members_) {
      predictor.networks.push_back(
          network_of(member.folder, member.config, member.context, predictor.settings.checkpoint));
      predictor.networks.back()->to(torch_device(device_));
    }
    return predictor;
  }

  /// As each member prepares it; once where all do so in the same way.
  std::vector<std::shared_ptr<const PreparedCase>> prepare(const CaseFiles& files) const {
    LoadedCase loaded = load_case(dataset(), files);
    const bool alike = std::all_of(members_.begin(), members_.end(), [&](const Member& member) {
      return member.preparation == members_.front().preparation;
    });
    std::vector<std::shared_ptr<const PreparedCase>> prepared;
    for (std::size_t i = 0; !alike && i + 1 < members_.size(); ++i)
      prepared.push_back(std::make_shared<PreparedCase>(members_[i].prepare(loaded)));
    prepared.push_back(std::make_shared<PreparedCase>(members_.back().prepare(std::move(loaded))));
    return prepared;
  }

 private:
  struct Member {
    fs::path folder;
    RunConfig config;
    PredictionContext context;
    Json preparation;  // how images are prepared, to compare

    /// A cascade's loaded case has the first stage's segmentation in the place of labels.
    PreparedCase prepare(LoadedCase loaded) const {
      if (!context.plan) return prepare_case(context.dataset, context.fingerprint, std::move(loaded));
      PreparedCase prepared =
          prepare_case(context.dataset, context.plan->plans, context.plan->configuration, std::move(loaded));
      append_masks(prepared, prepared.labels, previous_labels(context.dataset, context.plan));
      return prepared;
    }
  };

  void add(const fs::path& folder) {
    Member member{folder, read_run_config(folder), {}, {}};
    require_done(folder, member.config);
    member.context = read_prediction_context(folder);
    const Json data = Json::parse(read_file(folder / "data.json"));
    member.preparation = {data.at("intensities"), data.value("plans", Json())};
    if (!members_.empty() && (common_identity(member.config) != common_identity(members_.front().config) ||
                              member.context.patch != members_.front().context.patch))
      throw UserError("--run " + folder.string() + " and " + members_.front().folder.string() +
                      " differ in more than fold and seed, so that their logits cannot be averaged; predict with each "
                      "alone and --save-probabilities, then average with m3d-bench ensemble");
    members_.push_back(std::move(member));
  }

  fs::path output_;
  std::string device_;
  std::vector<Member> members_;
};

}  // namespace

std::shared_ptr<Network> network_of_run(const fs::path& run_folder, const std::string& checkpoint) {
  const RunConfig config = read_run_config(run_folder);
  const std::string chosen = checkpoint.empty() ? read_settings(config.settings).infer.checkpoint : checkpoint;
  return network_of(run_folder, config, read_prediction_context(run_folder), chosen);
}

namespace {

/// Logits may take half of what is free, unless the settings say otherwise.
std::int64_t memory_for_logits(const InferSettings& settings) {
  if (settings.memory_limit_gib > 0) return static_cast<std::int64_t>(settings.memory_limit_gib * (1 << 30));
  return available_bytes().value_or(0) / 2;
}

/// [C, D, H, W]: the channels of all inputs; of a single one its own memory.
torch::Tensor image_of(const std::vector<std::shared_ptr<const PreparedCase>>& inputs) {
  std::vector<torch::Tensor> images;
  for (const auto& prepared : inputs) {
    if (prepared->shape != inputs.front()->shape)
      throw std::invalid_argument("Predictor: the inputs of case " + prepared->id + " have several shapes");
    images.push_back(
        torch::from_blob(const_cast<float*>(prepared->image.data()),
                         {prepared->channels, prepared->shape[0], prepared->shape[1], prepared->shape[2]}));
  }
  return images.size() == 1 ? images.front() : torch::cat(images);
}

}  // namespace

LabelImage Predictor::labels_of(const std::vector<std::shared_ptr<const PreparedCase>>& inputs,
                                const fs::path& probabilities, std::span<NextStageLabels> next_stages) const {
  const torch::NoGradGuard no_gradients;
  for (const auto& network : networks) network->eval();
  SlidingWindowOptions options{patch,         settings.overlap, settings.gaussian, {}, memory_for_logits(settings),
                               scratch_folder};
  if (settings.mirror)
    for (const int axis : settings.mirror_axes)  // one slice is its own mirror image
      if (patch[static_cast<std::size_t>(axis)] > 1) options.mirror_axes.push_back(axis);
  const std::int64_t channels = inputs.front()->channels;
  const auto mean_of_networks = [&](const torch::Tensor& tile) {
    const AutocastScope autocast(device, precision);
    const torch::Tensor on_device = tile.to(torch_device(device));
    torch::Tensor sum;
    for (std::size_t i = 0; i < networks.size(); ++i) {
      const std::int64_t first = inputs.size() == 1 ? 0 : static_cast<std::int64_t>(i) * channels;
      const torch::Tensor logits =
          networks[i]->forward(on_device.narrow(1, first, channels)).front().to(torch::kFloat32);
      sum = sum.defined() ? sum + logits : logits;
    }
    return (networks.size() > 1 ? sum / static_cast<double>(networks.size()) : sum).to(torch::kCPU);
  };
  LabelPainter painter(dataset, *inputs.front());
  std::list<NextStagePainter> next_painters;
  for (NextStageLabels& next : next_stages) next_painters.emplace_back(dataset, *inputs.front(), next);
  const auto predict = [&](ProbabilityFile* file) {
    CroppedLogits cropped(*inputs.front(), output_channels(dataset),
                          [&](std::int64_t first, const torch::Tensor& logits) {
                            painter.add(first, logits);
                            if (file) file->add(first, logits);
                          });
    predict_slabs(mean_of_networks, image_of(inputs), output_channels(dataset), options,
                  [&](std::int64_t first, const torch::Tensor& logits) {
                    cropped.add(first, logits);
                    for (NextStagePainter& next : next_painters) next.add(first, logits);
                  });
  };
  if (probabilities.empty()) {
    predict(nullptr);
  } else {
    write_atomically(probabilities, [&](const fs::path& temporary) {
      ProbabilityFile file(temporary, dataset, *inputs.front());
      predict(&file);
      file.close();
    });
  }
  for (NextStagePainter& next : next_painters) next.finish();
  return painter.take();
}

void predict_folder(const PredictionRequest& request) {
  const Ensemble ensemble(request);
  std::vector<CaseFiles> cases = cases_in(request.input, ensemble.dataset());
  add_previous_stage(request, ensemble.previous_stage(), cases);
  const Predictor predictor = ensemble.predictor();
  if (request.save_probabilities) write_atomically(request.output / "data.json", ensemble.context_text());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (interrupt_requested()) throw Interrupted();
    const fs::path probabilities = request.save_probabilities ? request.output / (cases[i].id + ".npy") : fs::path();
    write_labels(request.output / (cases[i].id + ".nii.gz"),
                 predictor.labels_of(ensemble.prepare(cases[i]), probabilities));
    progress("predicting", static_cast<long>(i + 1), static_cast<long>(cases.size()));
  }
}

}  // namespace m3d
