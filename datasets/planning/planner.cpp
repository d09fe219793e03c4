#include "datasets/planning/planner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

#include "common/error.h"
#include "datasets/numerics/numpy_statistics.h"
#include "datasets/planning/topology.h"

namespace m3d {
namespace {

constexpr double kAnisotropic = 3;
constexpr double kMaskedBelow = 3.0 / 4;   // relative size after cropping below which the outside was blanked
constexpr double kLowresThreshold = 0.25;  // share of the median image that a patch should cover
constexpr double kLowresStep = 1.03;
constexpr std::int64_t kSmallestBatch = 2;

struct PlannerTraits {
  Planner planner;
  const char *option, *plans_name, *class_name;
  bool plain;
  double memory_gb;  // target, and what the references below belong to
  double reference_2d, reference_3d;
  double covered;  // share of the dataset's voxels in a batch at most
};
constexpr std::array<PlannerTraits, 5> kPlanners{{
    {Planner::plain, "plain", "nnUNetPlans", "ExperimentPlanner", true, 8, 85e6, 560e6, 0.05},
    {Planner::resenc, "resenc", "nnUNetResEncUNetPlans", "ResEncUNetPlanner", false, 8, 135e6, 680e6, 0.05},
    {Planner::resenc_m, "resenc_m", "nnUNetResEncUNetMPlans", "nnUNetPlannerResEncM", false, 8, 135e6, 680e6, 1},
    {Planner::resenc_l, "resenc_l", "nnUNetResEncUNetLPlans", "nnUNetPlannerResEncL", false, 24, 380e6, 2100e6, 1},
    {Planner::resenc_xl, "resenc_xl", "nnUNetResEncUNetXLPlans", "nnUNetPlannerResEncXL", false, 40, 560e6, 3600e6, 1},
}};

const PlannerTraits& traits_of(Planner planner) {
  return *std::find_if(kPlanners.begin(), kPlanners.end(), [&](const auto& one) { return one.planner == planner; });
}

template <class T>
double product(const std::vector<T>& values) {
  return std::accumulate(values.begin(), values.end(), 1.0, [](double a, T b) { return a * static_cast<double>(b); });
}

std::vector<double> doubles(const std::vector<std::int64_t>& values) { return {values.begin(), values.end()}; }

/// Convolutions of encoder stage `stage`: two a block, and one on the shortcut of a block that changes the shape.
std::int64_t encoder_convolutions(bool plain, const Json& arguments, std::size_t stage, bool changes_shape) {
  if (plain) return arguments.at("n_conv_per_stage").at(stage).get<std::int64_t>();
  return 2 * arguments.at("n_blocks_per_stage").at(stage).get<std::int64_t>() + (changes_shape ? 1 : 0);
}

/// Plans of one dataset.
class ExperimentPlan {
 public:
  ExperimentPlan(const PlanningFacts& facts, const Fingerprint& fingerprint, const PlannerTraits& traits,
                 double memory_gb)
      : facts_(facts), fingerprint_(fingerprint), traits_(traits), memory_gb_(memory_gb) {}

  Json json() {
    const Spacing3 target = target_spacing();
    const AxisOrder transpose = transpose_of(target);
    const Spacing3 spacing = permuted(target, transpose);
    const std::vector<double> shape = median_shape(target, transpose);
    const auto cases = static_cast<double>(facts_.training_cases);
    Json fullres, lowres;
    if (shape[0] != 1) {
      fullres =
          configuration({spacing.begin(), spacing.end()}, shape, identifier("3d_fullres"), product(shape) * cases);
      lowres = lower_resolution(fullres, {spacing.begin(), spacing.end()}, shape);
      fullres["batch_dice"] = !lowres.is_null();
    }
    Json flat = configuration({spacing[1], spacing[2]}, {shape[1], shape[2]}, identifier("2d"), product(shape) * cases);
    flat["batch_dice"] = true;
    return document(transpose, flat, lowres, fullres);
  }

 private:
  using Values = std::vector<double>;

  /// §3: medians; the slice spacing of anisotropic datasets is its 10th percentile instead.
  Spacing3 target_spacing() const {
    Spacing3 target{}, size{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      target[axis] = quantile_of_spacing(axis, 0.5);
      Values sizes;
      for (const Shape3& shape : fingerprint_.cropped_shapes) sizes.push_back(static_cast<double>(shape[axis]));
      size[axis] = numpy_quantile(sizes, 0.5);
    }
    const auto worst = static_cast<std::size_t>(std::max_element(target.begin(), target.end()) - target.begin());
    const std::size_t a = worst == 0 ? 1 : 0, b = worst == 2 ? 1 : 2;
    const double others = std::max(target[a], target[b]);
    if (target[worst] > kAnisotropic * others && size[worst] * kAnisotropic < std::min(size[a], size[b])) {
      target[worst] = quantile_of_spacing(worst, 0.1);
      if (target[worst] < others) target[worst] = others + 1e-5;
    }
    return target;
  }

  double quantile_of_spacing(std::size_t axis, double fraction) const {
    Values values;
    for (const Spacing3& spacing : fingerprint_.spacings_mm) values.push_back(spacing[axis]);
    return numpy_quantile(values, fraction);
  }

  static AxisOrder transpose_of(const Spacing3& target) {
    const auto first = static_cast<int>(std::max_element(target.begin(), target.end()) - target.begin());
    AxisOrder order{first, 0, 0};
    std::size_t next = 1;
    for (int axis = 0; axis < 3; ++axis)
      if (axis != first) order[next++] = axis;
    return order;
  }

  /// Of the cases at the target spacing, transposed.
  Values median_shape(const Spacing3& target, const AxisOrder& transpose) const {
    std::array<Values, 3> sizes;
    for (std::size_t i = 0; i < fingerprint_.cropped_shapes.size(); ++i) {
      const Shape3 shape = shape_at_spacing(fingerprint_.cropped_shapes[i], fingerprint_.spacings_mm[i], target);
      for (std::size_t axis = 0; axis < 3; ++axis) sizes[axis].push_back(static_cast<double>(shape[axis]));
    }
    Values median;
    for (const int axis : transpose) median.push_back(numpy_median(sizes[static_cast<std::size_t>(axis)]));
    return median;
  }

  std::string identifier(const std::string& configuration) const {
    const bool shares_data = !traits_.plain && configuration != "3d_lowres";
    return std::string(shares_data ? plans_name(Planner::plain) : traits_.plans_name) + "_" + configuration;
  }

  /// Null where the full resolution is low enough.
  Json lower_resolution(const Json& fullres, const Values& spacing, const Values& shape) {
    Json lowres;
    Values lower = spacing;
    double voxels = product(shape), patch = product(fullres.at("patch_size").get<std::vector<std::int64_t>>());
    while (patch / voxels < kLowresThreshold) {
      widen(lower);
      Values scaled;
      for (std::size_t axis = 0; axis < 3; ++axis) scaled.push_back(spacing[axis] / lower[axis] * shape[axis]);
      voxels = product(scaled);
      std::vector<std::int64_t> rounded;
      for (const double size : scaled) rounded.push_back(static_cast<std::int64_t>(std::nearbyint(size)));
      lowres = configuration(lower, doubles(rounded), identifier("3d_lowres"),
                             voxels * static_cast<double>(facts_.training_cases));
      lowres["median_image_size_in_voxels"] = rounded;
      patch = product(lowres.at("patch_size").get<std::vector<std::int64_t>>());
    }
    if (lowres.is_null() || product(shape) / voxels < 2) return {};
    lowres["batch_dice"] = false;
    lowres["next_stage"] = "3d_cascade_fullres";
    return lowres;
  }

  /// One step towards a coarser grid: first the axes that are finer than half of the coarsest.
  static void widen(Values& spacing) {
    const double largest = *std::max_element(spacing.begin(), spacing.end());
    const bool uneven = std::any_of(spacing.begin(), spacing.end(), [&](double s) { return largest / s > 2; });
    for (double& one : spacing)
      if (!uneven || largest / one > 2) one *= kLowresStep;
  }

  Json configuration(const Values& spacing, const Values& shape, const std::string& data_identifier,
                     double dataset_voxels) const {
    const bool flat = spacing.size() == 2;
    const double reference = (flat ? traits_.reference_2d : traits_.reference_3d) * (memory_gb_ / traits_.memory_gb);
    const double reference_batch = flat ? 12 : 2;
    NetworkTopology topology = network_topology(spacing, initial_patch(spacing, shape));
    Json architecture = architecture_of(topology);
    double estimate = estimate_of(architecture, topology);
    // The plain planner makes room for a batch of two, the residual ones for one of the reference's size.
    while ((traits_.plain ? estimate / reference_batch * 2 : estimate) > reference) {
      topology = smaller(spacing, shape, topology);
      architecture = architecture_of(topology);
      estimate = estimate_of(architecture, topology);
    }
    const double batch = std::nearbyint(reference / estimate * reference_batch);
    const double most = std::nearbyint(dataset_voxels * traits_.covered / product(topology.patch));
    const auto batch_size = std::max(static_cast<std::int64_t>(std::min(batch, most)), kSmallestBatch);
    return configuration_json(data_identifier, batch_size, topology.patch, shape, spacing, architecture);
  }

  /// A patch of 256^3 (2D: 2048^2) voxels with the aspect of the spacing, within the median shape.
  static Values initial_patch(const Values& spacing, const Values& shape) {
    Values aspect;
    for (const double s : spacing) aspect.push_back(1 / s);
    const auto axes = static_cast<double>(spacing.size());
    const double volume = spacing.size() == 3 ? 256.0 * 256 * 256 : 2048.0 * 2048;
    const double scale = std::pow(volume / product(aspect), 1 / axes);
    Values patch;
    for (std::size_t axis = 0; axis < spacing.size(); ++axis)
      patch.push_back(std::min(std::nearbyint(aspect[axis] * scale), shape[axis]));
    return patch;
  }

  /// The axis that is longest in relation to the median shape loses one divisor of the network that then results.
  static NetworkTopology smaller(const Values& spacing, const Values& shape, const NetworkTopology& topology) {
    std::size_t longest = 0;
    const auto ratio = [&](std::size_t axis) { return static_cast<double>(topology.patch[axis]) / shape[axis]; };
    for (std::size_t axis = 1; axis < spacing.size(); ++axis)
      if (ratio(axis) >= ratio(longest)) longest = axis;
    Values patch = doubles(topology.patch), trial = patch;
    trial[longest] -= static_cast<double>(topology.divisors[longest]);
    patch[longest] -= static_cast<double>(network_topology(spacing, trial).divisors[longest]);
    return network_topology(spacing, patch);
  }

  Json architecture_of(const NetworkTopology& topology) const {
    const std::size_t stages = topology.strides.size();
    const std::int64_t most_features = topology.patch.size() == 2 ? 512 : 320;
    std::vector<std::int64_t> features, blocks;
    for (std::size_t stage = 0; stage < stages; ++stage) {
      features.push_back(std::min(std::int64_t{32} << std::min<std::size_t>(stage, 10), most_features));
      constexpr std::array<std::int64_t, 3> residual{1, 3, 4};
      blocks.push_back(traits_.plain ? 2 : stage < residual.size() ? residual[stage] : 6);
    }
    const std::vector<std::int64_t> decoder(stages - 1, traits_.plain ? 2 : 1);
    return unet_architecture_json(traits_.plain, topology.patch.size() == 2 ? "2d" : "3d",
                                  {{"n_stages", stages},
                                   {"features_per_stage", features},
                                   {"kernel_sizes", topology.kernels},
                                   {"strides", topology.strides},
                                   {traits_.plain ? "n_conv_per_stage" : "n_blocks_per_stage", blocks},
                                   {"n_conv_per_stage_decoder", decoder}});
  }

  double estimate_of(const Json& architecture, const NetworkTopology& topology) const {
    return static_cast<double>(feature_map_elements(architecture, topology.patch, facts_.label_count));
  }

  Json configuration_json(const std::string& data_identifier, std::int64_t batch_size,
                          const std::vector<std::int64_t>& patch, const Values& shape, const Values& spacing,
                          const Json& architecture) const {
    Json schemes = Json::array(), masks = Json::array();
    for (const std::string& channel : facts_.channel_names) {
      const Normalisation scheme = normalisation_of(channel);
      schemes.push_back(normalisation_name(scheme));
      masks.push_back(scheme == Normalisation::z_score && fingerprint_.median_relative_size < kMaskedBelow);
    }
    const auto rule = [](bool labels, int order) {
      return Json{{"is_seg", labels}, {"order", order}, {"order_z", 0}, {"force_separate_z", nullptr}};
    };
    constexpr const char* function = "resample_data_or_seg_to_shape";
    return {{"data_identifier", data_identifier},
            {"preprocessor_name", "DefaultPreprocessor"},
            {"batch_size", batch_size},
            {"patch_size", patch},
            {"median_image_size_in_voxels", shape},
            {"spacing", spacing},
            {"normalization_schemes", schemes},
            {"use_mask_for_norm", masks},
            {"resampling_fn_data", function},
            {"resampling_fn_seg", function},
            {"resampling_fn_data_kwargs", rule(false, 3)},
            {"resampling_fn_seg_kwargs", rule(true, 1)},
            {"resampling_fn_probabilities", function},
            {"resampling_fn_probabilities_kwargs", rule(false, 1)},
            {"architecture", architecture}};
  }

  Json document(const AxisOrder& transpose, const Json& flat, const Json& lowres, const Json& fullres) const {
    Values spacing;
    std::vector<std::int64_t> shape;
    for (const int axis : transpose) {
      Values spacings, sizes;
      for (const Spacing3& one : fingerprint_.spacings_mm) spacings.push_back(one[static_cast<std::size_t>(axis)]);
      for (const Shape3& one : fingerprint_.cropped_shapes)
        sizes.push_back(static_cast<double>(one[static_cast<std::size_t>(axis)]));
      spacing.push_back(numpy_median(spacings));
      shape.push_back(static_cast<std::int64_t>(std::nearbyint(numpy_median(sizes))));
    }
    Json configurations{{"2d", flat}};
    if (!lowres.is_null()) configurations["3d_lowres"] = lowres;
    if (!fullres.is_null()) configurations["3d_fullres"] = fullres;
    if (!lowres.is_null())
      configurations["3d_cascade_fullres"] = {{"inherits_from", "3d_fullres"}, {"previous_stage", "3d_lowres"}};
    return {{"dataset_name", facts_.dataset_name},
            {"plans_name", traits_.plans_name},
            {"original_median_spacing_after_transp", spacing},
            {"original_median_shape_after_transp", shape},
            {"image_reader_writer", facts_.image_reader},
            {"transpose_forward", transpose},
            {"transpose_backward", inverse(transpose)},
            {"configurations", configurations},
            {"experiment_planner_used", traits_.class_name},
            {"label_manager", "LabelManager"},
            {"foreground_intensity_properties_per_channel", intensities_json(fingerprint_.channels)}};
  }

  const PlanningFacts& facts_;
  const Fingerprint& fingerprint_;
  const PlannerTraits& traits_;
  double memory_gb_;
};

}  // namespace

std::vector<std::string> planner_names() {
  std::vector<std::string> names;
  for (const PlannerTraits& one : kPlanners) names.emplace_back(one.option);
  return names;
}

std::optional<Planner> planner_of(const std::string& name) {
  for (const PlannerTraits& one : kPlanners)
    if (name == one.option) return one.planner;
  return {};
}

std::string plans_name(Planner planner) { return traits_of(planner).plans_name; }

PlanningFacts planning_facts(const Dataset& dataset) {
  PlanningFacts facts;
  facts.dataset_name = dataset.folder.filename().string();
  facts.channel_names = dataset.channel_names;
  facts.label_count = static_cast<std::int64_t>(dataset.classes.size()) + 1 + (dataset.ignore_label ? 1 : 0);
  facts.training_cases = static_cast<std::int64_t>(dataset.training.size());
  facts.image_reader = dataset.image_reader;
  return facts;
}

Plans plan_experiment(const PlanningFacts& facts, const Fingerprint& fingerprint, Planner planner,
                      std::optional<double> gpu_memory_gb) {
  if (fingerprint.spacings_mm.empty() || fingerprint.spacings_mm.size() != fingerprint.cropped_shapes.size())
    throw UserError("the fingerprint of " + facts.dataset_name + " has no cases, or not one spacing a shape");
  const PlannerTraits& traits = traits_of(planner);
  return {ExperimentPlan(facts, fingerprint, traits, gpu_memory_gb.value_or(traits.memory_gb)).json(),
          "the plan of " + facts.dataset_name};
}

std::int64_t feature_map_elements(const Json& architecture, const std::vector<std::int64_t>& patch,
                                  std::int64_t label_count) {
  const bool plain = architecture.at("network_class_name").get<std::string>().ends_with("PlainConvUNet");
  const Json& arguments = architecture.at("arch_kwargs");
  const auto strides = arguments.at("strides").get<std::vector<std::vector<std::int64_t>>>();
  const auto features = arguments.at("features_per_stage").get<std::vector<std::int64_t>>();
  std::vector<std::int64_t> size = patch;
  const auto voxels = [&] { return std::accumulate(size.begin(), size.end(), std::int64_t{1}, std::multiplies<>()); };
  std::int64_t elements = plain ? 0 : features[0] * voxels();  // the residual encoder's stem
  for (std::size_t stage = 0; stage < strides.size(); ++stage) {
    const std::vector<std::int64_t> before = size;
    for (std::size_t axis = 0; axis < size.size(); ++axis) size[axis] /= strides[stage][axis];
    const bool changes_shape = size != before || (stage > 0 && features[stage] != features[stage - 1]);
    elements += encoder_convolutions(plain, arguments, stage, changes_shape) * features[stage] * voxels();
    if (stage + 1 == strides.size()) break;  // the bottleneck has no decoder stage of its size
    elements += (arguments.at("n_conv_per_stage_decoder").at(strides.size() - 2 - stage).get<std::int64_t>() + 1) *
                features[stage] * voxels();
    if (stage == 0) elements += label_count * voxels();
  }
  return elements;
}

}  // namespace m3d
