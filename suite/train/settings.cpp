#include "suite/train/settings.h"

#include "common/error.h"

namespace m3d {
namespace {

/// One section of the settings; a missing section reads like an empty one.
class Section {
 public:
  Section(const Json& settings, const char* name) : name_(name) {
    if (settings.is_object() && settings.contains(name)) values_ = settings.at(name);
  }

  template <class T>
  void read(const char* key, T& value) const {
    if (!values_.is_object() || !values_.contains(key) || values_.at(key).is_null()) return;
    try {
      value = values_.at(key).get<T>();
    } catch (const nlohmann::json::exception&) {
      throw UserError("setting " + name_ + "." + key + ": " + values_.at(key).dump() + " has the wrong type");
    }
  }

 private:
  std::string name_;
  Json values_;
};

DataSettings read_data(const Section& section) {
  DataSettings data;
  section.read("patch", data.patch);
  section.read("plan", data.plan);
  section.read("configuration", data.configuration);
  section.read("previous_stage", data.previous_stage);
  section.read("batch_size", data.batch_size);
  section.read("foreground_fraction", data.foreground_fraction);
  section.read("validation_foreground_fraction", data.validation_foreground_fraction);
  section.read("mirror", data.mirror);
  section.read("augmentation", data.augmentation);
  section.read("workers", data.workers);
  section.read("max_classes", data.max_classes);
  section.read("split", data.split);
  section.read("max_cases", data.max_cases);
  section.read("max_validation_cases", data.max_validation_cases);
  return data;
}

TrainSettings read_train(const Section& section) {
  TrainSettings train;
  section.read("epochs", train.epochs);
  section.read("iterations_per_epoch", train.iterations_per_epoch);
  section.read("validation_iterations", train.validation_iterations);
  section.read("validation_every_epochs", train.validation_every_epochs);
  section.read("checkpoint_every_steps", train.checkpoint_every_steps);
  section.read("memory_limit_gib", train.memory_limit_gib);
  section.read("gradient_clip", train.gradient_clip);
  section.read("deep_supervision", train.deep_supervision);
  section.read("batch_dice", train.batch_dice);
  section.read("dice_weight", train.dice_weight);
  section.read("cross_entropy_weight", train.cross_entropy_weight);
  section.read("initial_weights", train.initial_weights);
  section.read("initial_weights_hash", train.initial_weights_hash);
  return train;
}

InferSettings read_infer(const Section& section) {
  InferSettings infer;
  section.read("overlap", infer.overlap);
  section.read("mirror", infer.mirror);
  section.read("mirror_axes", infer.mirror_axes);
  section.read("memory_limit_gib", infer.memory_limit_gib);
  section.read("gaussian", infer.gaussian);
  section.read("checkpoint", infer.checkpoint);
  return infer;
}

ProfileSettings read_profile(const Section& section) {
  ProfileSettings profile;
  section.read("enabled", profile.enabled);
  section.read("warmup", profile.warmup);
  section.read("repeats", profile.repeats);
  return profile;
}

}  // namespace

RunSettings read_settings(const Json& settings) {
  RunSettings result{read_data({settings, "data"}), read_train({settings, "train"}), read_infer({settings, "infer"}),
                     read_profile({settings, "profile"})};
  if (!result.data.patch.empty() && result.data.patch.size() != 3)
    throw UserError("setting data.patch: expected three sizes [D, H, W], got " +
                    std::to_string(result.data.patch.size()));
  if (result.infer.checkpoint == "best" && result.train.epochs == 0)
    throw UserError("setting infer.checkpoint: 'best' needs train.epochs of at least 1");
  if (result.infer.checkpoint == "best" && result.train.validation_iterations == 0)
    throw UserError(
        "setting infer.checkpoint: 'best' needs train.validation_iterations of at least 1 (the best epoch is chosen by "
        "its "
        "pseudo-Dice); give that, or infer.checkpoint=final");
  return result;
}

}  // namespace m3d
