// m3d-bench profile: what an architecture costs, counted and, if asked, measured.
#include <cstdio>

#include "architectures/blocks/layers.h"
#include "architectures/macs.h"
#include "architectures/width.h"
#include "common/error.h"
#include "suite/cli/command.h"
#include "suite/cli/match_options.h"
#include "suite/cli/model_options.h"
#include "suite/cli/output.h"
#include "suite/cli/published_costs.h"
#include "suite/objective/loss.h"
#include "suite/objective/optimiser.h"
#include "suite/profile/memory_prediction.h"
#include "suite/profile/trace.h"
#include "suite/run/match_budget.h"

namespace m3d {
namespace {

struct ProfileOptions {
  std::string architecture;
  std::vector<std::string> set;
  std::string match, like, published;
  std::vector<std::string> like_set;
  std::vector<std::int64_t> patch = {128, 128, 128};
  std::int64_t channels = 1;
  std::int64_t classes = 16;
  bool measure = false;
  std::int64_t batch_size = 1, repeats = 5;
  std::string device = "cpu", precision = "fp32", trace;
  bool json = false;
};

void require_divisible(const NetworkInput& input, const Architecture& architecture, const Json& model) {
  const auto divisors = architecture.divisors(model);
  for (std::size_t axis = 0; axis < 3; ++axis)
    if (input.patch[axis] < 1 || input.patch[axis] % divisors[axis] != 0)
      throw UserError("--patch: " + architecture.name + " needs multiples of " + Json(divisors).dump() + ", got " +
                      Json(input.patch).dump());
}

Json costs_json(const Architecture& architecture, const NetworkInput& input, const Json& model) {
  const NetworkCosts costs = count_costs(architecture, input, model);
  return {{"architecture", architecture.name},
          {"title", architecture.title},
          {"model", model},
          {"patch", input.patch},
          {"channels", input.channels},
          {"classes", input.classes},
          {"parameters", costs.parameters},
          {"macs", to_json(costs.macs)},
          {"scan_state_updates", costs.macs.scan_state_updates},
          {"patch_at_128", costs.patch_at_128},
          {"macs_at_128", costs.macs_at_128 ? to_json(*costs.macs_at_128) : Json()}};
}

/// Two levels, which is where the parts that a paper's figure names are.
void add_modules(const Json& modules, const std::string& indent, std::vector<std::vector<std::string>>& rows) {
  for (const Json& module : modules) {
    const auto count = module["parameters"].get<std::int64_t>();
    rows.push_back({indent + module["module"].get<std::string>(), std::to_string(count), short_count(count)});
    if (indent.empty() && module.contains("modules")) add_modules(module["modules"], "  ", rows);
  }
}

void print_costs(const Json& costs) {
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const std::string& name, const Json& value) {
    rows.push_back({name, value.dump(), short_count(value.get<std::int64_t>())});
  };
  std::printf("%s at patch %s, %s channels, %s classes\n", costs["title"].get<std::string>().c_str(),
              costs["patch"].dump().c_str(), costs["channels"].dump().c_str(), costs["classes"].dump().c_str());
  add("parameters", costs["parameters"]);
  for (const auto& [name, value] : costs["macs"].items()) add("MACs, " + name, value);
  add("scan state updates", costs["scan_state_updates"]);
  if (const Json& at_128 = costs["macs_at_128"]; !at_128.is_null())
    add("MACs at " + costs["patch_at_128"].dump(), at_128["total"]);
  if (costs.contains("predicted_memory"))
    for (const auto& [name, value] : costs["predicted_memory"].items()) add("predicted " + name, value);
  print_table(rows);
  if (costs.contains("predicted_memory_absent"))
    std::printf("no predicted memory: %s\n", costs["predicted_memory_absent"].get<std::string>().c_str());
  rows.clear();
  add_modules(costs["parameters_by_module"], "", rows);
  std::printf("\nparameters by module\n");
  print_table(rows);
}

/// Steps as the Ulike recipe takes them: Dice and cross-entropy with deep supervision, AdamW.
SpeedRequest request_for(const NetworkInput& input, const ProfileOptions& options) {
  SpeedRequest request;
  request.input = input;
  request.batch_size = options.batch_size;
  request.repeats = options.repeats;
  request.device = options.device;
  request.precision = options.precision;
  request.loss = [](const std::vector<torch::Tensor>& outputs, const torch::Tensor& target) {
    return deep_supervision_loss(outputs, target, {});
  };
  request.make_optimiser = [](std::vector<torch::Tensor> parameters) {
    return make_optimiser({{"optimiser", "adamw"}}, std::move(parameters));
  };
  return request;
}

Json timing_json(const Timing& timing) {
  return {{"median", timing.median}, {"least", timing.least}, {"most", timing.most}};
}

Json memory_json(const MemoryPrediction& memory) {
  return {{"parameters_bytes", memory.parameters},
          {"optimiser_bytes", memory.optimiser},
          {"activations_bytes", memory.activations},
          {"training_peak_bytes", memory.training_peak},
          {"inference_peak_bytes", memory.inference_peak}};
}

/// The bytes that a step will need, or why that is not known.
void add_predicted_memory(Json& costs, const Architecture& architecture, const Json& model,
                          const SpeedRequest& request) {
  const auto absent = [&](const char* why) { costs["predicted_memory_absent"] = why; };
  if (request.precision != "fp32") return absent("only steps in fp32 are predicted");
  if (request.device != "cpu") return absent("only steps on the CPU are predicted");
  if (const auto memory = predict_memory(architecture, model, request))
    costs["predicted_memory"] = memory_json(*memory);
  else
    absent("the network calls an operator whose result's shape LibTorch does not tell beforehand");
}

/// Parameters of the module's children and theirs, in their order; children without parameters are left out.
Json parameters_by_module(const torch::nn::Module& network) {
  Json modules = Json::array();
  for (const auto& child : network.named_children()) {
    const Json inner = parameters_by_module(*child.value());
    if (count_parameters(*child.value()) == 0) continue;
    modules.push_back({{"module", child.key()}, {"parameters", count_parameters(*child.value())}});
    if (!inner.empty()) modules.back()["modules"] = inner;
  }
  return modules;
}

Json parameters_by_module(const Architecture& architecture, const NetworkInput& input, const Json& model) {
  const MetaParameters on_meta;
  return parameters_by_module(*architecture.build(input, model, /*seed=*/0));
}

Json measured_json(const MeasuredSpeed& speed, const ProfileOptions& options) {
  return {{"batch_size", options.batch_size},
          {"repeats", options.repeats},
          {"precision", options.precision},
          {"device", speed.device},
          {"training_step_seconds", timing_json(speed.training_step)},
          {"training_forward_seconds", timing_json(speed.training_forward)},
          {"training_backward_seconds", timing_json(speed.training_backward)},
          {"inference_seconds", timing_json(speed.inference)},
          {"peak_memory_bytes", speed.peak_memory_bytes ? Json(*speed.peak_memory_bytes) : Json()},
          {"peak_tensor_bytes", speed.peak_tensor_bytes ? Json(*speed.peak_tensor_bytes) : Json()},
          {"train_patches_per_second", speed.train_patches_per_second},
          {"inference_voxels_per_second", speed.inference_voxels_per_second}};
}

void print_measured(const Json& measured) {
  const auto seconds = [&](const char* name) {
    char text[64];
    const Json& timing = measured[name];
    std::snprintf(text, sizeof text, "%.4g s (%.4g to %.4g)", timing["median"].get<double>(),
                  timing["least"].get<double>(), timing["most"].get<double>());
    return std::string(text);
  };
  const auto bytes = [&](const char* name) {
    return measured[name].is_null() ? "not measurable here" : measured[name].dump() + " bytes";
  };
  print_table({{"training step", seconds("training_step_seconds")},
               {"  its forward pass", seconds("training_forward_seconds")},
               {"  its loss and backward pass", seconds("training_backward_seconds")},
               {"inference, one patch", seconds("inference_seconds")},
               {"inference, voxels a second",
                short_count(static_cast<std::int64_t>(measured["inference_voxels_per_second"].get<double>()))},
               {"peak of tensors in training", bytes("peak_tensor_bytes")},
               {"peak of the process in training", bytes("peak_memory_bytes")},
               {"measured on", measured["device"].get<std::string>()}});
}

/// The options that are asked for; with --match, widths that meet the other network's budget.
Json chosen_model(const Architecture& architecture, const NetworkInput& input, const ProfileOptions& options) {
  const Json model = model_options(architecture, options.set);
  if (options.match.empty() && options.like.empty()) return model;
  const Budget budget = budget_named(options.match, options.like);
  const Architecture& other = find_architecture(options.like);
  const std::int64_t target = cost_of(budget, other, input, model_options(other, options.like_set));
  return match_width(architecture, model, input, budget, target).options;
}

/// As they are given to --set, or stand in a suite's `base: model:`.
void print_widths(const Architecture& architecture, const Json& model) {
  for (const auto& width : architecture.widths)
    std::printf("--set %s=%s\n", width.name.c_str(), model.at(width.name).dump().c_str());
}

int print_published(const std::string& format) {
  const reports::Table table = published_costs_table();
  const std::string text = format == "latex" ? to_latex(table) : format == "csv" ? to_csv(table) : to_markdown(table);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int run_profile(const ProfileOptions& options) {
  if (!options.published.empty()) return print_published(options.published);
  if (options.architecture.empty())
    throw UserError("--architecture NAME is missing; m3d-bench list architectures shows the names");
  if (!options.trace.empty() && !options.measure)
    throw UserError("--trace: nothing runs without --measure; add it to trace the steps that it times");
  const Architecture& architecture = find_architecture(options.architecture);
  const NetworkInput input{options.channels, options.classes, {options.patch[0], options.patch[1], options.patch[2]}};
  const Json model = chosen_model(architecture, input, options);
  require_divisible(input, architecture, model);
  const SpeedRequest request = request_for(input, options);
  Json costs = costs_json(architecture, input, model);
  add_predicted_memory(costs, architecture, model, request);
  costs["parameters_by_module"] = parameters_by_module(architecture, input, model);
  const auto measure = [&] {
    costs["measured"] = measured_json(measure_speed(architecture, model, request), options);
    return 0;
  };
  if (options.measure) run_traced(options.trace, measure);
  if (options.json) return print_json(costs);
  if (!options.match.empty()) print_widths(architecture, model);
  print_costs(costs);
  if (options.measure) print_measured(costs["measured"]);
  return 0;
}

}  // namespace

void add_profile(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<ProfileOptions>();
  CLI::App* profile = app.add_subcommand("profile",
                                         "Parameters and multiply-accumulates by operator class (one patch, all heads "
                                         "built; a scan counts 3 a state update). Widths are the paper's unless "
                                         "--set says otherwise.");
  profile->footer(
      "Examples:\n"
      "  m3d-bench profile --architecture ulike_mamba_3d --set scan=tri\n"
      "  m3d-bench profile --architecture ulike_mamba_3dmt --patch 32,64,64 --measure\n"
      "  m3d-bench profile --architecture ulike_none --match parameters --like ulike_mamba_3d\n"
      "  m3d-bench profile --architecture ulike_trans_sra --patch 96,96,96 --channels 4 --classes 3 --json");
  profile->add_option("--architecture", options->architecture, "name; see list architectures");
  profile
      ->add_option("--published", options->published,
                   "instead: the parameters and MACs that papers print, beside what is counted here")
      ->check(one_of("--published", {"markdown", "latex", "csv"}));
  profile->add_option("--set", options->set, "an option of the architecture, as in scan=tri")->type_name("KEY=VALUE");
  add_match_options(*profile, options->match, options->like);
  profile->add_option("--like-set", options->like_set, "its options")->type_name("KEY=VALUE");
  profile->add_option("--patch", options->patch, "voxels (default 128,128,128)")
      ->delimiter(',')
      ->expected(3)
      ->type_name("D,H,W");
  profile->add_option("--channels", options->channels, "input channels (default 1)")->check(CLI::PositiveNumber);
  profile->add_option("--classes", options->classes, "output classes, background included (default 16)")
      ->check(CLI::PositiveNumber);
  profile->add_flag("--measure", options->measure,
                    "also time training steps (Dice + cross-entropy, AdamW) and inference, and their memory");
  profile->add_option("--batch-size", options->batch_size, "with --measure (default 1)")->check(CLI::PositiveNumber);
  profile->add_option("--repeats", options->repeats, "with --measure, after one warm-up (default 5)")
      ->check(CLI::PositiveNumber);
  profile->add_option("--device", options->device, "with --measure: cpu or cuda (default cpu)");
  profile->add_option("--precision", options->precision, "with --measure: fp32 or bf16 (default fp32)");
  profile
      ->add_option(
          "--trace", options->trace,
          "with --measure: write a trace of the operators called (Kineto, Chrome's JSON); timings then include it")
      ->type_name("FILE");
  profile->add_flag("--json", options->json, "one JSON document on stdout");
  profile->callback([options, &chosen] { chosen = [options] { return run_profile(*options); }; });
}

}  // namespace m3d
