#include "suite/run/execute.h"

#include <cstdio>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/hash.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "common/utc_now.h"
#include "suite/evaluate/evaluate_folders.h"
#include "suite/profile/memory_prediction.h"
#include "suite/profile/resident_memory.h"
#include "suite/run/predict.h"
#include "suite/run/provenance.h"
#include "suite/run/recipe.h"
#include "suite/train/checkpoint.h"
#include "suite/train/device.h"
#include "suite/train/numeric_failure.h"
#include "suite/train/trainer.h"
#include "suite/weights/match_weights.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

/// The network as training starts: the original's initialisation, or the weights of a file.
std::shared_ptr<Network> initial_network(const RunConfig& config, const TrainSettings& train,
                                         const NetworkRequest& request) {
  const Architecture& architecture = find_architecture(config.architecture);
  auto network = architecture.build(request.input, request.model, config.seed);
  const std::string& file = train.initial_weights;
  if (file.empty()) return network;
  if (content_hash(read_file(file)) != train.initial_weights_hash)
    throw UserError("setting train.initial_weights: " + file + " has changed since the run was planned");
  fill_network(*network, architecture, read_state_file(file).tensors, file);
  return network;
}

class RunExecution {
 public:
  RunExecution(const RunConfig& config, const PreparedRun& prepared, fs::path folder)
      : config_(config),
        settings_(prepared.settings),
        data_(*prepared.data),
        request_(prepared.network),
        folder_(std::move(folder)),
        architecture_(find_architecture(config.architecture)) {}

  void run(RunResult& result) {
    write_run_description(folder_, config_, data_, request_.input.patch);
    result.profile = costs();
    require_memory(result.profile);
    const double train_seconds = train_and_predict();
    result.metrics = evaluate();
    add_measurements(result.profile, train_seconds);
  }

 private:
  /// The network lives here only, so that its memory is free when the profile is taken.
  double train_and_predict() {
    const std::shared_ptr<Network> network = initial_network(config_, settings_.train, request_);
    const TrainingRecipe recipe = training_recipe(config_, settings_, data_, request_.input.patch);
    const TrainingResult trained = train(*network, target_spec_of(data_.dataset()), recipe, folder_, config_.name);
    if (settings_.infer.checkpoint == "best") load_weights(folder_ / "best.pt", *network);
    predict({{network},
             data_.dataset(),
             request_.input.patch,
             settings_.infer,
             config_.device,
             config_.precision,
             folder_ / "predictions"});
    return trained.seconds;
  }

  /// Predictions that are there already (of an earlier call that was interrupted here) are kept: equal weights would
  /// give them again.
  void predict(const Predictor& predictor) {
    const std::vector<std::string>& ids = data_.split().validation;
    const NextStages next_stages(data_.plan(), data_.dataset(), folder_);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (interrupt_requested()) throw Interrupted();
      const fs::path file = folder_ / "predictions" / (ids[i] + ".nii.gz");
      if (!fs::exists(file) || !next_stages.has_all(ids[i])) {
        const auto prepared = data_.prepared(ids[i]);
        std::vector<NextStageLabels> next = next_stages.grids(*prepared);
        const LabelImage labels = predictor.labels_of({prepared}, {}, next);
        next_stages.write(ids[i], next);
        write_labels(file, labels);
      }
      progress("predicting " + config_.name, static_cast<long>(i + 1), static_cast<long>(ids.size()));
    }
  }

  Json evaluate() {
    EvaluationLabels labels = evaluation_labels(data_.dataset());
    labels.allowed_values = allowed_label_values(data_.whole());
    const fs::path references = data_.whole().training.front().labels.parent_path();
    const Evaluation evaluation =
        evaluate_folders(folder_ / "predictions", references, labels, data_.split().validation);
    write_atomically(folder_ / "summary.json", summary_text(evaluation));
    return metrics_json(evaluation);
  }

  SpeedRequest speed() const { return speed_request(config_, settings_, request_.input, data_.dataset().region_based); }

  /// What is known before the run: also a run that memory does not suffice for has it in its record.
  Json costs() const {
    Json profile = profile_json(count_costs(architecture_, request_.input, request_.model));
    if (config_.precision != "fp32") return profile;
    if (const auto predicted = predict_memory(architecture_, request_.model, speed()))
      profile["predicted_tensor_bytes"] = predicted->training_peak;
    return profile;
  }

  void add_measurements(Json& profile, double train_seconds) const {
    if (settings_.train.total_steps() > 0) profile["train_seconds"] = train_seconds;
    if (settings_.profile.enabled) add_speed(profile, measure_speed(architecture_, request_.model, speed()));
  }

  /// A machine that swaps is lost for hours: what cannot fit is not tried.
  void require_memory(const Json& profile) const {
    constexpr double gibibyte = 1024.0 * 1024 * 1024;
    const double limit = settings_.train.memory_limit_gib * gibibyte;
    const auto free = config_.device == "cpu" ? available_bytes() : std::nullopt;  // a GPU says so itself
    const double available = limit > 0 ? limit : free ? static_cast<double>(*free) : 0;
    const Json& predicted = profile.at("predicted_tensor_bytes");
    if (available == 0 || predicted.is_null() || predicted.get<double>() <= available) return;
    char text[160];
    std::snprintf(text, sizeof text, "training needs %.3g GiB for its tensors and %.3g GiB are %s; not tried",
                  predicted.get<double>() / gibibyte, available / gibibyte,
                  limit > 0 ? "allowed (train.memory_limit_gib)" : "free");
    throw OutOfMemory(text);
  }

  const RunConfig& config_;
  const RunSettings& settings_;
  FoldData& data_;
  const NetworkRequest& request_;
  fs::path folder_;
  const Architecture& architecture_;
};

/// The first line of a message: LibTorch appends its stack.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

PreparedRun prepare_run(const RunConfig& config, DataCache& cache) {
  require_device_and_precision(config.device, config.precision);
  PreparedRun prepared;
  prepared.settings = read_settings(config.settings);
  prepared.data = cache.get(config, prepared.settings.data);
  if (prepared.data->split().training.empty() || prepared.data->split().validation.empty())
    throw UserError("fold " + std::to_string(config.fold) + " of '" + config.dataset +
                    "' has no training or no validation cases");
  const std::optional<RunPlan>& plan = prepared.data->plan();
  if (plan) prepared.settings = with_plan(prepared.settings, *plan);
  prepared.network =
      network_request(config, prepared.settings.data, prepared.data->dataset(), prepared.data->split().training, plan);
  initial_network(config, prepared.settings.train, prepared.network);
  prepared.data->training();
  return prepared;
}

RunResult execute_run(const RunConfig& config, const PreparedRun& prepared, const fs::path& folder) {
  RunResult result;
  result.started = utc_now();
  try {
    RunExecution(config, prepared, folder).run(result);
  } catch (const Interrupted&) {
    throw;
  } catch (const Diverged& error) {
    result.status = "diverged";
    result.error = error.what();
  } catch (const std::exception& error) {
    result.status = is_out_of_memory(error) ? "oom" : "failed";
    result.error = first_line(error.what());
  }
  result.finished = utc_now();
  return result;
}

}  // namespace m3d
