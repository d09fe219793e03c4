// Records of kinds "loss" and "optimiser".
#include <cmath>

#include "suite/objective/loss.h"
#include "suite/objective/optimiser.h"
#include "suite/verify/record_values.h"

namespace m3d {
namespace {

constexpr double kDouble = 1e-12;
constexpr double kSingle = 1e-6;

void compare_gradient(RecordComparison& compare, const std::string& what, const torch::Tensor& gradient,
                      const Json& expected) {
  if (expected.is_null()) return compare.exact(what, !gradient.defined() || gradient.abs().max().item<double>() == 0);
  if (!gradient.defined()) return compare.exact(what, false, "no gradient");
  const double sum = expected.at("abs_sum").get<double>();
  compare.number(what + " abs_sum", gradient.abs().sum().item<double>(), sum, sum, kDouble);
  compare_samples(compare, what, gradient, expected.at("samples"), sum / static_cast<double>(gradient.numel()),
                  kDouble);
}

/// One channel a region, 1 where the class belongs to it; and one of the voxels to ignore where there are such.
torch::Tensor region_target(const torch::Tensor& classes, const Json& regions,
                            const std::optional<std::int64_t>& ignored) {
  std::vector<torch::Tensor> channels;
  for (const Json& region : regions)
    channels.push_back(torch::isin(classes, torch::tensor(region.get<std::vector<std::int64_t>>())));
  if (ignored) channels.push_back(classes.eq(*ignored));
  return torch::stack(channels, 1).to(torch::kDouble);
}

struct LossCase {
  torch::Tensor logits, target;
  LossOptions options;
};

LossCase loss_case(const Json& item) {
  const auto shape = item.at("shape").get<std::vector<std::int64_t>>();
  const std::string kind = item.at("kind");
  LossCase result{2 * named_tensor(item.at("logits"), shape), {}, {}};
  result.options.region_based = kind.starts_with("regions");
  result.options.batch_dice = item.at("batch_dice").get<bool>();
  if (item.contains("ignore_label")) result.options.ignore_label = item.at("ignore_label").get<std::int64_t>();
  const std::vector<std::int64_t> voxels{shape[0], shape[2], shape[3], shape[4]};
  result.target = named_classes(item.at("target"), voxels, item.at("target_K").get<std::int64_t>());
  if (result.options.region_based)
    result.target = region_target(result.target, item.at("regions"), result.options.ignore_label);
  return result;
}

void compare_loss(RecordComparison& compare, const std::string& name, const Json& item) {
  const LossCase example = loss_case(item);
  const torch::Tensor logits = example.logits.clone().requires_grad_();
  const torch::Tensor loss = segmentation_loss(logits, example.target, example.options);
  const double total = item.at("total").get<double>();
  compare.number(name + " total", loss.item<double>(), total, std::abs(total), kDouble);
  const LossParts parts = segmentation_loss_parts(logits, example.target, example.options);
  compare.number(name + " dice_loss", parts.dice_loss, item.at("dice_loss").get<double>(), 1, kDouble);
  const double cross_entropy = item.at(item.contains("bce") ? "bce" : "ce").get<double>();
  compare.number(name + " cross-entropy", parts.cross_entropy, cross_entropy, 1, kDouble);
  loss.backward();
  compare_gradient(compare, name + " gradient", logits.grad(), item.at("grad_logits"));
  const double single =
      segmentation_loss(example.logits.to(torch::kFloat), example.target, example.options).item<double>();
  const double reference = item.value("nnunet_float32_total", total);
  compare.exact(name + " in float32", std::abs(single - reference) <= kSingle * std::abs(reference),
                "expected " + Json(reference).dump() + ", got " + Json(single).dump());
}

void compare_deep_supervision(RecordComparison& compare, const std::string& name, const Json& item) {
  const auto shape = item.at("target_shape").get<std::vector<std::int64_t>>();
  const std::int64_t classes = item.at("K").get<std::int64_t>();
  const torch::Tensor target = named_classes(item.at("target"), shape, classes);
  LossOptions options;
  options.batch_dice = item.at("batch_dice").get<bool>();
  std::vector<torch::Tensor> outputs;
  for (std::size_t i = 0; i < item.at("logits").size(); ++i) {
    const Json& scale = item.at("targets_per_scale").at(i);
    auto grid = scale.at("shape").get<std::vector<std::int64_t>>();
    compare_label_map(compare, name + " target " + std::to_string(i),
                      nearest_exact(target, at::IntArrayRef(grid).slice(2)), scale);
    grid[1] = classes;
    outputs.push_back((2 * named_tensor(item.at("logits")[i], grid)).requires_grad_());
    const torch::Tensor own = nearest_exact(target, at::IntArrayRef(grid).slice(2)).squeeze(1);
    compare.number(name + " scale " + std::to_string(i), segmentation_loss(outputs[i], own, options).item<double>(),
                   item.at("loss_per_scale").at(i).get<double>(), 1, kDouble);
  }
  const auto weights = deep_supervision_weights(static_cast<int>(outputs.size()));
  for (std::size_t i = 0; i < weights.size(); ++i)
    compare.number(name + " weight", weights[i], item.at("weights").at(i).get<double>(), 1, kDouble);
  const torch::Tensor total = deep_supervision_loss(outputs, target.squeeze(1), options);
  compare.number(name + " total", total.item<double>(), item.at("total").get<double>(), 1, kDouble);
  total.backward();
  for (std::size_t i = 0; i < outputs.size(); ++i)
    compare_gradient(compare, name + " gradient " + std::to_string(i), outputs[i].grad(), item.at("grad_logits").at(i));
}

/// Settings as a schedule's name in the record says them, with the number of epochs or iterations.
Json schedule_settings(const std::string& name) {
  Json settings{{"learning_rate", number_in(name, "lr([0-9.e-]*[0-9])", 0.01)}};
  if (name.find("poly") != std::string::npos)
    settings["schedule"] = "poly";
  else if (name.find("cosine") != std::string::npos)
    settings["schedule"] = "cosine";
  else if (name.find("onecycle") != std::string::npos)
    settings.update({{"schedule", "one_cycle"}, {"one_cycle_rise", 0.1}, {"one_cycle_end_divisor", 1e8}});
  else if (name.find("LinearLR") != std::string::npos)
    settings["schedule"] = "constant";
  else if (name.find("linear") != std::string::npos)
    settings["schedule"] = "linear";
  else
    settings["schedule"] = name;
  if (name.find("LinearLR") != std::string::npos) settings["warmup_steps"] = 5;
  settings["cosine_period"] = number_in(name, "_T([0-9]+)", 0);
  settings["minimum_learning_rate"] = number_in(name, "_eta([0-9.e-]*[0-9])", 0);
  return settings;
}

void compare_schedule(RecordComparison& compare, const std::string& name, const Json& schedule) {
  const Json settings = schedule_settings(name);
  const auto total = static_cast<std::int64_t>(number_in(name, "_([0-9]+)(ep|it)", 1000));
  for (const Json& point : schedule.at("values")) {
    const double expected = point.at(1).get<double>();
    compare.number(name + " at " + point.at(0).dump(),
                   learning_rate_at(settings, point.at(0).get<std::int64_t>(), total, 1), expected, expected, kDouble);
  }
}

/// The record's problem: half the sum of a (p - b)², minimised from p0.
struct Quadratic {
  explicit Quadratic(const Json& problem)
      : factors(1 + 4 * named(problem, "quad_a").abs()),
        minimum(named(problem, "quad_b")),
        parameter((2 * named(problem, "quad_p0")).requires_grad_()) {}
  static torch::Tensor named(const Json& problem, const std::string& name) {
    return named_tensor(problem.value("name_prefix", "") + name, {problem.at("n").get<std::int64_t>()});
  }
  torch::Tensor loss() const { return 0.5 * (factors * (parameter - minimum).square()).sum(); }

  torch::Tensor factors, minimum, parameter;
};

Json optimiser_settings(const std::string& name) {
  const std::string kind = name.substr(0, name.find('_'));
  return {{"optimiser", kind},
          {"learning_rate", number_in(name, "_lr([0-9.]+(e-?[0-9]+)?)", 0.01)},
          {"weight_decay", number_in(name, "_wd([0-9.]+(e-?[0-9]+)?)", kind == "sgd" ? 3e-5 : 0)},
          {"momentum", number_in(name, "_mom([0-9.]+)", 0.99)},
          {"nesterov", name.find("nesterov") != std::string::npos}};
}

void compare_steps(RecordComparison& compare, const std::string& name, const Json& problem, const Json& entry) {
  Quadratic quadratic(problem);
  const auto optimiser = make_optimiser(optimiser_settings(name), {quadratic.parameter});
  const double gradient_factor = number_in(name, "gradients_x([0-9.]+)", 1);
  const double clip = number_in(name, "clip([0-9.]+)", 0);
  const Json& steps = entry.is_array() ? entry : entry.at("steps");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string where = name + " step " + std::to_string(i);
    if (entry.is_object()) set_learning_rate(*optimiser, entry.at("lrs").at(i).get<double>());
    optimiser->zero_grad();
    const torch::Tensor loss = gradient_factor * quadratic.loss();
    const double expected_loss = steps[i].at("loss_before").get<double>();
    compare.number(where + " loss", loss.item<double>(), expected_loss, std::abs(expected_loss), kDouble);
    loss.backward();
    const double norm = clip_gradient_norm({quadratic.parameter}, clip);
    if (const double expected = steps[i].value("grad_norm_before_clip", 0.0); expected > 0)
      compare.number(where + " gradient norm", norm, expected, expected, kDouble);
    optimiser->step();
    for (std::int64_t k = 0; k < quadratic.parameter.numel(); ++k)
      compare.number(where + " parameter", quadratic.parameter[k].item<double>(),
                     steps[i].at("param_after").at(static_cast<std::size_t>(k)).get<double>(), 1, kDouble);
  }
}

}  // namespace

RecordCheck verify_loss(const Json& record) {
  RecordComparison compare;
  std::size_t index = 0;
  for (const Json& item : record.at("cases"))
    compare_loss(compare, "case " + std::to_string(index++) + " (" + item.at("kind").get<std::string>() + ")", item);
  index = 0;
  for (const Json& item : record.value("deep_supervision", Json::array()))
    compare_deep_supervision(compare, "deep supervision " + std::to_string(index++), item);
  return compare.result(record.value("name", "loss"), "loss");
}

RecordCheck verify_optimiser(const Json& record) {
  RecordComparison compare;
  for (const auto& [name, schedule] : record.at("schedules").items()) compare_schedule(compare, name, schedule);
  const Json& quadratic = record.at("quadratic");
  for (const auto& [name, entry] : quadratic.items())
    if (name != "problem" && name != "notes") compare_steps(compare, name, quadratic.at("problem"), entry);
  return compare.result(record.value("name", "optimiser"), "optimiser");
}

}  // namespace m3d
