#include "ablations/run_config.h"

namespace m3d {
namespace {

using enum OptionType;

std::vector<OptionSpec> data_settings() {
  return {
      {"data.patch", integer_list, Json::array(), "patch [D, H, W] in voxels; empty: the plan's", {}, 1},
      {"data.plan", string, "auto",
       "spacing, normalisation and patch: none (native spacing), plain, resenc, resenc_m, resenc_l, resenc_xl "
       "(nnU-Net's planners) or an nnUNetPlans.json; auto: none on embedded datasets, else plain"},
      {"data.configuration", string, "3d_fullres", "configuration of the plan"},
      {"data.previous_stage", string_list, Json::array(),
       "for 3d_cascade_fullres: finished 3d_lowres runs of all folds, or the folder that holds them (or nnU-Net's "
       "predicted_next_stage/3d_cascade_fullres)"},
      {"data.plan_hash", string, "", "of a plans file; filled in, and checked where it is given"},
      {"data.batch_size", integer, 2, "patches a step; 0: the plan's (2 without one)", {}, 0},
      {"data.foreground_fraction", number, 0.33, "share of patches forced to hold foreground", {}, 0, 1},
      {"data.validation_foreground_fraction", number, 0.33, "the same of the validation batches of training", {}, 0, 1},
      {"data.mirror", boolean, true, "mirror each axis with probability 0.5 in training"},
      {"data.split", string, "",
       "folds by name (prepare and list datasets --json show them); empty: splits_final.json, else "
       "the dataset's standard"},
      {"data.augmentation", string, "nnunet", "what else training patches undergo", {"none", "nnunet", "nnunet_v1"}},
      {"data.workers", integer, 2, "threads that draw batches ahead; any number draws the same", {}, 1, 64},
      {"data.max_classes", integer, 0, "keep only this many classes; 0: all", {}, 0},
      {"data.max_cases", integer, 0, "train on at most this many cases; 0: all", {}, 0},
      {"data.max_validation_cases", integer, 0, "evaluate at most this many cases; 0: all", {}, 0},
  };
}

std::vector<OptionSpec> optimiser_settings() {
  return {
      {"train.optimiser", string, "sgd", "rule of the update", {"adamw", "sgd", "adam", "radam"}},
      {"train.learning_rate", number, 0.01, "initial, or highest (one_cycle), learning rate", {}, 0},
      {"train.weight_decay", number, 3e-5, "decay of all parameters", {}, 0},
      {"train.momentum", number, 0.99, "of SGD", {}, 0, 1},
      {"train.nesterov", boolean, true, "Nesterov's form of SGD"},
      {"train.beta1", number, 0.9, "first-moment decay of Adam, AdamW, RAdam", {}, 0, 1},
      {"train.beta2", number, 0.999, "second-moment decay of Adam, AdamW, RAdam", {}, 0, 1},
      {"train.epsilon", number, 1e-8, "added to the denominator of Adam, AdamW, RAdam", {}, 0},
      {"train.gradient_clip", number, 12.0, "largest gradient norm; 0: no clipping", {}, 0},
  };
}

std::vector<OptionSpec> schedule_settings() {
  return {
      {"train.schedule",
       string,
       "poly",
       "course of the learning rate",
       {"poly", "constant", "linear", "cosine", "one_cycle"}},
      {"train.schedule_by", string, "epoch", "unit in which the schedule advances", {"epoch", "step"}},
      {"train.poly_power", number, 0.9, "exponent of the poly schedule", {}, 0},
      {"train.cosine_period", integer, 0, "units until the cosine schedule is lowest; 0: the whole run", {}, 0},
      {"train.minimum_learning_rate", number, 0.0, "at the end of the cosine schedule", {}, 0},
      {"train.one_cycle_rise", number, 0.3, "share of the run in which one_cycle rises", {}, 0, 1},
      {"train.one_cycle_start_divisor", number, 25.0, "highest over first learning rate of one_cycle", {}, 1},
      {"train.one_cycle_end_divisor", number, 1e4, "first over last learning rate of one_cycle", {}, 1},
      {"train.one_cycle_beta1",
       number_list,
       Json::array(),
       "lowest (at the highest rate) and highest beta1 of one_cycle; empty: beta1 stays",
       {},
       0,
       1},
      {"train.warmup_steps", integer, 0, "steps of linear warm-up", {}, 0},
      {"train.epochs", integer, 1000, "epochs; 0: evaluate the weights that the network starts with", {}, 0},
      {"train.iterations_per_epoch", integer, 250, "steps an epoch", {}, 1},
      {"train.validation_iterations", integer, 50, "validation batches an epoch (pseudo-Dice)", {}, 0},
      {"train.validation_every_epochs", integer, 1, "epochs from one validation to the next", {}, 1},
      {"train.memory_limit_gib",
       number,
       0,
       "a run whose tensors need more is not tried (status oom); 0: what is free",
       {},
       0},
      {"train.checkpoint_every_steps", integer, 0, "steps between checkpoints; 0: at the ends of epochs only", {}, 0},
  };
}

std::vector<OptionSpec> start_settings() {
  return {
      {"train.initial_weights", string, "",
       "file (safetensors, .pt, .pth) to start from; empty: as the original starts"},
      {"train.initial_weights_hash", string, "", "of that file; filled in, and checked where it is given"},
  };
}

std::vector<OptionSpec> loss_settings() {
  return {
      {"train.deep_supervision", boolean, true, "supervise the coarser outputs too"},
      {"train.batch_dice", boolean, false, "Dice over the batch instead of over each sample"},
      {"train.dice_weight", number, 1.0, "weight of the Dice loss", {}, 0},
      {"train.cross_entropy_weight", number, 1.0, "weight of the cross-entropy", {}, 0},
  };
}

std::vector<OptionSpec> other_settings() {
  return {
      {"infer.overlap", number, 0.5, "share of a patch that neighbouring windows have in common", {}, 0, 0.95},
      {"infer.mirror", boolean, false, "mean over the predictions of all flips of infer.mirror_axes"},
      {"infer.mirror_axes", integer_list, {0, 1, 2}, "axes of [D, H, W] that may be flipped", {}, 0, 2},
      {"infer.gaussian", boolean, true, "Gaussian weights within a window"},
      {"infer.memory_limit_gib", number, 0.0, "memory for a case's logits; 0: half of what is free", {}, 0},
      {"infer.checkpoint", string, "final", "weights to predict with", {"final", "best"}},
      {"profile.enabled", boolean, true, "measure speed and memory"},
      {"profile.warmup", integer, 3, "repeats that are not counted", {}, 0},
      {"profile.repeats", integer, 10, "repeats of which the median is taken", {}, 1},
  };
}

std::vector<OptionSpec> all_settings() {
  std::vector<OptionSpec> all;
  for (const auto& group : {data_settings(), optimiser_settings(), schedule_settings(), start_settings(),
                            loss_settings(), other_settings()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

}  // namespace

const OptionSchema& settings_schema() {
  static const OptionSchema schema("setting", all_settings());
  return schema;
}

}  // namespace m3d
