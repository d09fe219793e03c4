#include <algorithm>

#include "architectures/family.h"
#include "architectures/nnformer/nnformer_network.h"
#include "common/error.h"

namespace m3d {
namespace {

constexpr std::size_t kStages = 4;

/// The values D, H, W of an option.
Grid triple_of(const Json& options, const std::string& name) {
  const auto values = integers_of(options, name, 3);
  return {values[0], values[1], values[2]};
}

/// The values D, H, W of each of the four stages.
std::vector<Grid> triples_of(const Json& options, const std::string& name) {
  const auto fits = [](const Json& triple) { return triple.size() == 3; };
  const Json& given = options.at(name);
  if (given.size() != kStages || !std::all_of(given.begin(), given.end(), fits))
    throw UserError("option '" + name + "' needs D, H and W for each of the four stages, got " + given.dump());
  return given.get<std::vector<Grid>>();
}

std::array<Grid, 2> stem_strides(NnFormerVariant variant, const Grid& patch) {
  Grid first{patch[0] / 2, patch[1] / 2, patch[2] / 2}, second = first;
  if (variant == NnFormerVariant::synapse) first[0] = patch[0];
  if (variant == NnFormerVariant::acdc) first[0] = second[0] = 1;
  for (int axis = 0; axis < 3; ++axis)
    if (first[axis] * second[axis] != patch[axis])
      throw UserError("option 'patch_size': the stem's two strides, " + Json(first).dump() + " and " +
                      Json(second).dump() + ", do not multiply to " + Json(patch).dump() +
                      (variant == NnFormerVariant::synapse ? "; known to work: [2, 4, 4] and [3, 4, 4]"
                       : variant == NnFormerVariant::tumor ? "; only [4, 4, 4] does"
                                                           : "; only [1, 4, 4] does"));
  return {first, second};
}

/// ACDC's slices are few and thick: depth is halved by the second step, and from odd sizes by the third.
std::array<NnFormerStep, 3> steps_of(NnFormerVariant variant) {
  if (variant != NnFormerVariant::acdc) return {};
  NnFormerStep flat{{1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {}}, odd{{3, 3, 3}, {2, 2, 2}, {0, 1, 1}, {1, 0, 0}};
  return {flat, NnFormerStep{}, odd};
}

std::vector<Grid> windows_of(NnFormerVariant variant, const Json& options) {
  if (variant == NnFormerVariant::acdc) return triples_of(options, "window_size");
  std::vector<Grid> windows;
  for (const auto size : integers_of(options, "window_size", kStages)) windows.push_back({size, size, size});
  return windows;
}

[[noreturn]] void refuse(NnFormerVariant variant, const NetworkInput& input, const Json& options) {
  const Json patch = input.patch, divisors = nnformer_divisors(variant, options);
  throw UserError("patch " + patch.dump() + " does not fit nnFormer: [D, H, W] must be multiples of " +
                  divisors.dump() +
                  (variant == NnFormerVariant::acdc ? ", and D twice an odd number above 1: 6, 10, 14, …" : ""));
}

/// Tokens of the stages; every step up must lead back to the grid that the step down came from.
std::array<Grid, 4> grids_of(NnFormerVariant variant, const NetworkInput& input, const Json& options,
                             const NnFormerConfig& config) {
  std::array<Grid, 4> grids{};
  for (int axis = 0; axis < 3; ++axis) {
    grids[0][axis] = input.patch[axis] / config.patch_size[axis];
    if (grids[0][axis] < 1 || input.patch[axis] % config.patch_size[axis] != 0) refuse(variant, input, options);
  }
  for (std::size_t i = 0; i < config.steps.size(); ++i) {
    grids[i + 1] = config.steps[i].down(grids[i]);
    if (grids[i + 1][0] < 1 || config.steps[i].up(grids[i + 1]) != grids[i]) refuse(variant, input, options);
  }
  return grids;
}

/// The convolutions' strides are fixed, so that this option of the original's can only repeat them.
void require_down_strides(const NetworkInput& input, const Json& options, const std::array<Grid, 4>& grids) {
  const auto strides = triples_of(options, "down_stride");
  for (std::size_t stage = 0; stage < kStages; ++stage) {
    const Grid& stride = strides[stage];
    for (int axis = 0; axis < 3; ++axis)
      if (stride[axis] < 1 || input.patch[axis] / stride[axis] != grids[stage][axis])
        throw UserError("option 'down_stride': stage " + std::to_string(stage) + " has " + Json(grids[stage]).dump() +
                        " tokens, which a stride of " + Json(stride).dump() +
                        " does not lead to; leave the option out");
  }
}

std::vector<OptionSpec> window_options(bool acdc) {
  using enum OptionType;
  if (!acdc)
    return {{"window_size", integer_list, {4, 4, 8, 4}, "edge of the windows of each stage, in tokens", {}, 1}};
  return {{"window_size",
           integer_lists,
           {{3, 5, 5}, {3, 5, 5}, {7, 10, 10}, {3, 5, 5}},
           "tokens of a window along D, H and W, for each stage",
           {},
           1},
          {"down_stride",
           integer_lists,
           {{1, 4, 4}, {1, 8, 8}, {2, 16, 16}, {4, 32, 32}},
           "voxels of a token of each stage; follows from the fixed convolutions",
           {},
           1}};
}

}  // namespace

OptionSchema nnformer_schema(NnFormerVariant variant, const std::string& kind) {
  using enum OptionType;
  const bool acdc = variant == NnFormerVariant::acdc, tumor = variant == NnFormerVariant::tumor;
  const Json heads = variant == NnFormerVariant::synapse ? Json{6, 12, 24, 48} : Json{3, 6, 12, 24};
  std::vector<OptionSpec> specs = {
      {"embedding_dim",
       integer,
       variant == NnFormerVariant::synapse ? 192 : 96,
       "width of the first stage; it doubles with every stage",
       {},
       2},
      {"depths", integer_list, {2, 2, 2, 2}, "blocks of the four stages, encoder and decoder alike", {}, 1},
      {"num_heads", integer_list, heads, "attention heads of the four stages", {}, 1},
      {"patch_size",
       integer_list,
       acdc    ? Json{1, 4, 4}
       : tumor ? Json{4, 4, 4}
               : Json{2, 4, 4},
       "voxels of a token along D, H and W",
       {},
       1}};
  for (auto& spec : window_options(acdc)) specs.push_back(std::move(spec));
  specs.push_back({"drop_path_rate",
                   number,
                   0.2,
                   "stochastic depth of the deepest encoder and the last decoder block (the original's is fixed)",
                   {},
                   0,
                   0.99});
  specs.push_back({"deep_supervision", boolean, true, "two coarser outputs in training"});
  return OptionSchema(kind, std::move(specs));
}

Grid NnFormerStep::down(const Grid& grid) const {
  Grid result{};
  for (int axis = 0; axis < 3; ++axis) {
    const std::int64_t reach = grid[axis] + 2 * padding[axis] - kernel[axis];
    result[axis] = reach < 0 ? 0 : reach / stride[axis] + 1;
  }
  return result;
}

Grid NnFormerStep::up(const Grid& grid) const {
  Grid result{};
  for (int axis = 0; axis < 3; ++axis) result[axis] = grid[axis] * stride[axis] + output_padding[axis];
  return result;
}

NnFormerConfig nnformer_config(NnFormerVariant variant, const NetworkInput& input, const Json& options) {
  NnFormerConfig config;
  config.channels = input.channels, config.classes = input.classes;
  config.embedding_dim = options.at("embedding_dim");
  config.depths = integers_of(options, "depths", kStages);
  config.encoder_heads = integers_of(options, "num_heads", kStages);
  config.decoder_heads = config.encoder_heads;
  // The tumour file drops the other end of the reversed list: its decoder has the heads of the stage below.
  if (variant == NnFormerVariant::tumor) config.decoder_heads.erase(config.decoder_heads.begin());
  config.patch_size = triple_of(options, "patch_size");
  config.stem_strides = stem_strides(variant, config.patch_size);
  config.steps = steps_of(variant);
  config.windows = windows_of(variant, options);
  config.block.attention.rows = PositionRows::nnformer;
  config.block.windows.fit = variant == NnFormerVariant::acdc ? WindowFit::keep : WindowFit::shrink;
  config.block.masked = variant != NnFormerVariant::acdc;
  config.drop_path_rate = options.at("drop_path_rate");
  config.deep_supervision = options.at("deep_supervision");
  config.grids = grids_of(variant, input, options, config);
  if (variant == NnFormerVariant::acdc) require_down_strides(input, options, config.grids);
  return config;
}

std::array<std::int64_t, 3> nnformer_divisors(NnFormerVariant variant, const Json& options) {
  Grid divisors = triple_of(options, "patch_size");
  for (int axis = 0; axis < 3; ++axis) divisors[axis] *= 8;
  if (variant == NnFormerVariant::acdc) divisors[0] = 2;
  return divisors;
}

}  // namespace m3d
