#include "suite/run/recipe.h"

#include "common/random.h"
#include "suite/objective/loss.h"
#include "suite/objective/optimiser.h"

namespace m3d {
namespace {

using Loss = std::function<torch::Tensor(const std::vector<torch::Tensor>&, const torch::Tensor&)>;

Loss loss_of(const TrainSettings& settings, const TargetSpec& targets) {
  LossOptions options;
  options.region_based = targets.region_based;
  options.ignore_label = targets.ignored_index();
  options.batch_dice = settings.batch_dice;
  options.dice_weight = settings.dice_weight;
  options.cross_entropy_weight = settings.cross_entropy_weight;
  return [options](const std::vector<torch::Tensor>& outputs, const torch::Tensor& target) {
    return deep_supervision_loss(outputs, target, options);
  };
}

DrawBatch sampler_of(const FoldData::Sources& cases, const PatchSampler::Options& options, std::uint64_t seed) {
  return [sampler = PatchSampler(cases, options, seed)](std::int64_t step) { return sampler.draw(step); };
}

PatchSampler::Options training_patches(const DataSettings& settings, const FoldData& data, const Shape3& patch) {
  PatchSampler::Options options{patch, settings.batch_size, settings.foreground_fraction, settings.mirror};
  if (settings.augmentation != "none") {
    options.augmentation = settings.augmentation == "nnunet" ? Augmentation::nnunet : Augmentation::nnunet_v1;
    options.masked_channels = data.masked_channels();
  }
  options.previous_labels = data.previous_stage_labels();
  return options;
}

PatchSampler::Options validation_patches(const DataSettings& settings, const FoldData& data, const Shape3& patch) {
  PatchSampler::Options options{patch, settings.batch_size, settings.validation_foreground_fraction, false};
  options.previous_labels = data.previous_stage_labels();
  return options;
}

/// The settings as the objective room reads them.
Json train_json(const RunConfig& config) { return config.settings.at("train"); }

}  // namespace

TrainingRecipe training_recipe(const RunConfig& config, const RunSettings& settings, FoldData& data,
                               const Shape3& patch) {
  TrainingRecipe recipe;
  recipe.epochs = settings.train.epochs;
  recipe.iterations_per_epoch = settings.train.iterations_per_epoch;
  recipe.validation_iterations = settings.train.validation_iterations;
  recipe.validation_every_epochs = settings.train.validation_every_epochs;
  recipe.checkpoint_every_steps = settings.train.checkpoint_every_steps;
  recipe.deep_supervision = settings.train.deep_supervision;
  recipe.seed = config.seed;
  recipe.hash = config.hash();
  recipe.device = config.device;
  recipe.precision = config.precision;
  recipe.draw = sampler_of(data.training(), training_patches(settings.data, data, patch), config.seed);
  recipe.workers = settings.data.workers;
  if (recipe.validation_iterations > 0)
    recipe.draw_validation = sampler_of(data.validation(), validation_patches(settings.data, data, patch),
                                        RandomStream(config.seed, "validation patches").next());
  recipe.loss = loss_of(settings.train, target_spec_of(data.dataset()));
  recipe.make_optimiser = [json = train_json(config)](std::vector<torch::Tensor> parameters) {
    return make_optimiser(json, std::move(parameters));
  };
  recipe.learning_rate = [json = train_json(config), train = settings.train](std::int64_t step) {
    return learning_rate_at(json, step, train.total_steps(), train.iterations_per_epoch);
  };
  recipe.before_update = [json = train_json(config), train = settings.train](torch::optim::Optimizer& optimiser,
                                                                             std::int64_t step) {
    if (const auto beta1 = beta1_at(json, step, train.total_steps(), train.iterations_per_epoch))
      set_beta1(optimiser, *beta1);
  };
  recipe.clip = [maximum = settings.train.gradient_clip](const std::vector<torch::Tensor>& parameters) {
    return clip_gradient_norm(parameters, maximum);
  };
  return recipe;
}

SpeedRequest speed_request(const RunConfig& config, const RunSettings& settings, const NetworkInput& input,
                           bool region_based) {
  SpeedRequest request;
  request.input = input;
  request.region_based = region_based;
  request.batch_size = settings.data.batch_size;
  request.warmup = settings.profile.warmup;
  request.repeats = settings.profile.repeats;
  request.seed = config.seed;
  request.device = config.device;
  request.precision = config.precision;
  request.loss = loss_of(settings.train, {{}, region_based});
  request.make_optimiser = [json = train_json(config)](std::vector<torch::Tensor> parameters) {
    return make_optimiser(json, std::move(parameters));
  };
  return request;
}

}  // namespace m3d
