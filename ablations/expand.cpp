#include "ablations/expand.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "ablations/plan_choice.h"
#include "architectures/width.h"
#include "common/atomic_file.h"
#include "common/error.h"
#include "common/hash.h"
#include "common/nearest_name.h"

namespace m3d {
namespace {

using Architectures = std::vector<const Architecture*>;

/// One axis with the values to run.
struct ChosenAxis {
  const Axis* axis;
  std::vector<std::string> values;
  std::string where;
};

/// The values that one run takes: axis → value.
using AxisPoint = std::vector<std::pair<const Axis*, std::string>>;

void add_matching(const Placed& pattern, Architectures& chosen) {
  const std::string text = pattern.value.get<std::string>();
  const auto known = architecture_names();
  bool found = false;
  for (const auto& name : known) {
    if (!matches_pattern(text, name)) continue;
    found = true;
    const Architecture* architecture = &find_architecture(name);
    if (std::find(chosen.begin(), chosen.end(), architecture) == chosen.end()) chosen.push_back(architecture);
  }
  if (!found) throw UserError(pattern.where + ": " + unknown_name_message("architecture", text, known));
}

Architectures chosen_architectures(const SuiteRequest& request, const Suite& suite) {
  std::vector<Placed> patterns = suite.architectures;
  if (!request.architectures.empty()) patterns.clear();
  for (const auto& name : request.architectures) patterns.push_back({name, "--architecture"});
  Architectures chosen;
  for (const auto& pattern : patterns) add_matching(pattern, chosen);
  return chosen;
}

AxisChoice parse_axis_flag(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UserError("--axis " + text + ": expected NAME=[a,b], as in scan=[single,tri]");
  AxisChoice choice{text.substr(0, equals), {}, "--axis " + text};
  const Json given = parse_scalar_or_list(text.substr(equals + 1), choice.where);
  for (const Json& item : given.is_array() ? given : Json::array({given})) {
    if (item.is_structured() || item.is_null())
      throw UserError(choice.where + ": expected names, as in scan=[single,tri]");
    choice.values.push_back({plain_text(item), choice.where});
  }
  if (choice.values.empty()) throw UserError(choice.where + ": the list is empty");
  return choice;
}

/// The suite's axes with those of --axis in their place, or after them.
std::vector<AxisChoice> axis_choices(const SuiteRequest& request, const Suite& suite) {
  std::vector<AxisChoice> choices = suite.axes;
  std::set<std::string> given;
  for (const auto& flag : request.axes) {
    const AxisChoice choice = parse_axis_flag(flag);
    if (!given.insert(choice.name).second) throw UserError("--axis gives '" + choice.name + "' twice; keep one");
    const auto same =
        std::find_if(choices.begin(), choices.end(), [&](const auto& c) { return c.name == choice.name; });
    if (same != choices.end()) {
      *same = choice;
    } else {
      choices.push_back(choice);
    }
  }
  return choices;
}

std::vector<ChosenAxis> chosen_axes(const std::vector<AxisChoice>& choices, const std::vector<Axis>& axes,
                                    const Architectures& architectures) {
  std::vector<ChosenAxis> chosen;
  for (const auto& choice : choices) {
    const Axis& axis = find_axis(axes, choice.name, choice.where);
    ChosenAxis entry{&axis, {}, choice.where};
    for (const auto& placed : choice.values) {
      const std::string value = placed.value.get<std::string>();
      if (value != kAxisDefault) axis.at(value, placed.where);
      if (std::find(entry.values.begin(), entry.values.end(), value) != entry.values.end())
        throw UserError(placed.where + ": value '" + value + "' occurs twice");
      entry.values.push_back(value);
    }
    if (std::none_of(architectures.begin(), architectures.end(), [&](auto* a) { return axis.applies_to(*a); }))
      throw UserError(choice.where + ": axis '" + axis.name + "' applies to none of the chosen architectures");
    chosen.push_back(std::move(entry));
  }
  return chosen;
}

/// --set must not decide what an axis varies: all its runs would be one.
void require_no_conflict(const Overrides& set, const std::vector<ChosenAxis>& axes) {
  for (const auto& chosen : axes)
    for (const auto& value : chosen.axis->values)
      for (const auto& [name, placed] : value.set)
        if (set.contains(name))
          throw UserError("--set " + name + ": axis '" + chosen.axis->name + "' varies it; give --axis " +
                          chosen.axis->name + "=[…] instead");
}

std::vector<AxisPoint> points_of(const std::vector<ChosenAxis>& axes, const Architecture& architecture) {
  std::vector<AxisPoint> points = {{}};
  for (const auto& chosen : axes) {
    if (!chosen.axis->applies_to(architecture)) continue;
    std::vector<AxisPoint> longer;
    for (const auto& point : points)
      for (const auto& value : chosen.values) {
        longer.push_back(point);
        longer.back().emplace_back(chosen.axis, value);
      }
    points = std::move(longer);
  }
  return points;
}

Json resolve_settings(const Overrides& overrides) {
  Json flat = Json::object();
  for (const auto& [name, placed] : overrides)
    if (!name.starts_with("model.")) flat[name] = placed.value;
  const auto where = [&](const std::string& key) { return overrides.at(key).where; };
  for (const auto& [name, value] : flat.items()) settings_schema().check(name, value, where(name));
  const Json resolved = settings_schema().resolve(flat, where);
  const std::size_t axes_of_patch = resolved.at("data.patch").size();
  if (axes_of_patch != 0 && axes_of_patch != 3)
    throw UserError(where("data.patch") + ": setting 'data.patch' expects three sizes [D, H, W], got " +
                    resolved.at("data.patch").dump());
  return nest_settings(resolved);
}

bool sets_one_option(const Axis& axis) {
  return std::all_of(axis.values.begin(), axis.values.end(), [](const AxisValue& value) {
    return value.set.size() == 1 && value.set.begin()->first.starts_with("model.");
  });
}

/// Whether the axis' options are told by axes of one option each (as those of the paper's steps).
bool is_told_by_others(const Axis& axis, const std::vector<Axis>& axes, const Architecture& architecture) {
  const auto told = [&](const auto& entry) {
    return std::any_of(axes.begin(), axes.end(), [&](const Axis& other) {
      return sets_one_option(other) && other.applies_to(architecture) && other.values.front().set.contains(entry.first);
    });
  };
  return std::all_of(axis.values.begin(), axis.values.end(),
                     [&](const AxisValue& value) { return std::all_of(value.set.begin(), value.set.end(), told); });
}

/// Only from what identifies a run, so that one hash never has two names: the axes (whether the suite lists them or
/// not) on which the run differs from its architecture's defaults, or from the axis' own where it has settings; then
/// fold and seed.
std::string run_name(const RunConfig& run, const Architecture& architecture, const std::vector<Axis>& axes) {
  const Json defaults = architecture.options.resolve(Json::object(), [](const std::string&) { return ""; });
  const Json settings = run.identity().at("settings");
  std::string name = architecture.name;
  for (const auto& axis : axes) {
    const bool one_option = sets_one_option(axis);
    if (!axis.applies_to(architecture) || (!one_option && is_told_by_others(axis, axes, architecture))) continue;
    const std::string value = axis.value_of(run.model, settings);
    const std::string usual = one_option ? axis.value_of(defaults, settings) : axis.default_value;
    if (!value.empty() && value != usual) name += "-" + axis.name + "_" + value;
  }
  name += run.fold == kFoldEverything ? "-everything" : "-fold" + std::to_string(run.fold);
  return name + "-seed" + std::to_string(run.seed);
}

bool excludes(const Exclusion& exclusion, const RunConfig& run) {
  const auto holds = [&](const auto& entry) {
    const auto& [key, values] = entry;
    std::string actual = key == "architecture" ? run.architecture : key == "dataset" ? run.dataset : "";
    if (actual.empty() && run.axes.contains(key)) actual = run.axes.at(key).template get<std::string>();
    return std::any_of(values.begin(), values.end(), [&](const auto& v) { return matches_pattern(v, actual); });
  };
  return std::all_of(exclusion.match.begin(), exclusion.match.end(), holds);
}

/// Multiplies an architecture's default widths; widths that are given themselves stay.
constexpr const char* kWidthScale = "model.width_scale";

double width_scale_of(const Placed& given) {
  if (given.value.is_number() && given.value.get<double>() > 0) return given.value.get<double>();
  throw UserError(given.where + ": width_scale expects a number above 0, got " + given.value.dump());
}

/// Everything that the runs of one request share.
struct Plan {
  const SuiteRequest& request;
  Suite suite;
  std::vector<Axis> known_axes;
  std::vector<ChosenAxis> axes;
  Architectures architectures;
  Overrides set;
};

/// What suite and command line say, before any axis.
Overrides layers_below_axes(const Plan& plan, const SuiteDataset& dataset) {
  const Suite& suite = plan.suite;
  const bool other_recipe = dataset.embedded && !suite.embedded_recipe.empty();
  Overrides overrides = other_recipe ? Overrides() : suite.recipe;
  overlay(overrides, suite.base);
  if (other_recipe) overlay(overrides, suite.embedded_recipe);
  if (dataset.embedded) overlay(overrides, suite.embedded);
  return overrides;
}

RunConfig make_run(const Plan& plan, const SuiteDataset& dataset, const Architecture& architecture,
                   const AxisPoint& point) {
  Overrides overrides = layers_below_axes(plan, dataset);
  overlay(overrides, plan_file_options(overrides, plan.set, architecture));
  for (const auto& [axis, value] : point)
    if (value != kAxisDefault) overlay(overrides, axis->at(value, "axis " + axis->name).set);
  overlay(overrides, plan.set);
  RunConfig run;
  run.suite = plan.suite.name;
  run.dataset = dataset.name;
  run.architecture = architecture.name;
  run.model = resolve_model(architecture, overrides);
  run.settings = resolve_settings(overrides);
  choose_plan(run.settings["data"], dataset.embedded);
  run.axes = Json::object();
  for (const auto& [axis, value] : point) {
    const std::string actual = value == kAxisDefault ? axis->value_of(run.model, run.settings) : value;
    run.axes[axis->name] = actual.empty() ? kAxisDefault : actual;
  }
  run.precision = plan.request.precision;
  run.device = plan.request.device;
  return run;
}

void match_budget(RunConfig& run, const Plan& plan, const SuiteDataset& dataset) {
  const Architecture& other = find_architecture(plan.request.budget->like);
  Overrides overrides = layers_below_axes(plan, dataset);
  overlay(overrides, plan.set);
  RunConfig like = run;
  like.architecture = other.name;
  like.model = resolve_model(other, overrides);
  plan.request.budget->match(run, like);
}

void finish_run(RunConfig& run, const Plan& plan, const SuiteDataset& dataset, int fold, std::uint64_t seed) {
  run.fold = fold;
  run.seed = seed;
  run.name = run_name(run, find_architecture(run.architecture), plan.known_axes);
  for (const auto& exclusion : plan.suite.exclude)
    if (run.skip_reason.empty() && excludes(exclusion, run)) run.skip_reason = exclusion.reason;
  if (plan.request.budget && run.skip_reason.empty()) match_budget(run, plan, dataset);
}

/// A setting that may name a file; its content then identifies the run, by the setting <key>_hash.
struct FileSetting {
  const char *section, *key;
  const char* file;  // what the hash belongs to, for messages
  bool (*names_file)(const std::string& value);
};

constexpr FileSetting kFileSettings[] = {
    {"train", "initial_weights", "train.initial_weights", [](const std::string& value) { return !value.empty(); }},
    {"data", "plan", "a plans file as data.plan", is_plans_file},
};

/// Fills in the hash of the file that the setting names, or checks the one that is given. `hashes`: those of files
/// known.
void identify_file(Json& settings, const FileSetting& setting, std::map<std::string, std::string>& hashes) {
  Json& section = settings[setting.section];
  const std::string name = std::string("setting ") + setting.section + "." + setting.key;
  const std::string hash_key = std::string(setting.key) + "_hash";
  const std::string file = section.at(setting.key), given = section.at(hash_key);
  if (!setting.names_file(file)) {
    if (!given.empty()) throw UserError(name + "_hash is given without " + setting.file);
    return;
  }
  if (!std::filesystem::is_regular_file(file)) throw UserError(name + ": " + file + ": no such file");
  const auto [hash, is_new] = hashes.try_emplace(file);
  if (is_new) hash->second = content_hash(read_file(file));
  if (!given.empty() && given != hash->second)
    throw UserError(name + ": " + file + " has the hash " + hash->second + ", not " + given);
  section[hash_key] = hash->second;
}

void identify_files(std::vector<RunConfig>& runs) {
  std::map<std::string, std::string> hashes;
  for (RunConfig& run : runs)
    for (const FileSetting& setting : kFileSettings) identify_file(run.settings, setting, hashes);
}

void skip_repetitions(std::vector<RunConfig>& runs) {
  std::map<std::string, const RunConfig*> first;
  for (auto& run : runs) {
    if (!run.skip_reason.empty()) continue;
    const auto [same, is_new] = first.emplace(run.hash(), &run);
    if (!is_new) run.skip_reason = "same as " + same->second->name + " (hash " + run.hash().substr(0, 8) + ")";
  }
}

std::vector<RunConfig> shard_of(const std::vector<RunConfig>& runs, const SuiteRequest& request) {
  if (request.shards < 1 || request.shard < 1 || request.shard > request.shards)
    throw UserError("--shard expects i/n with i from 1 to n, as in 1/4");
  std::vector<RunConfig> mine;
  int index = 0;
  for (const auto& run : runs) {
    const bool is_mine = index % request.shards == request.shard - 1;
    if (is_mine) mine.push_back(run);
    if (run.skip_reason.empty()) ++index;  // skipped runs cost nothing: they do not count in the balance
  }
  return mine;
}

Plan make_plan(const SuiteRequest& request) {
  Plan plan{request,    load_suite(request.suite, "--suite", request.recipe),
            all_axes(), {},
            {},         parse_assignments(request.set, "--set")};
  plan.architectures = chosen_architectures(request, plan.suite);
  plan.axes = chosen_axes(axis_choices(request, plan.suite), plan.known_axes, plan.architectures);
  require_no_conflict(plan.set, plan.axes);
  Architectures settable = plan.architectures;
  if (request.budget) settable.push_back(&find_architecture(request.budget->like));
  require_known_options(plan.set, settable);
  // The suite's own options are checked against its own architectures: --architecture may choose one that lacks some.
  Architectures own;
  for (const auto& pattern : plan.suite.architectures) add_matching(pattern, own);
  for (const Overrides* values :
       {&plan.suite.recipe, &plan.suite.base, &plan.suite.embedded_recipe, &plan.suite.embedded})
    require_known_options(*values, own);
  return plan;
}

}  // namespace

Json resolve_model(const Architecture& architecture, const Overrides& overrides) {
  Json given = Json::object();
  for (const auto& [name, placed] : overrides)
    if (name.starts_with("model.") && architecture.options.has(name.substr(6))) given[name.substr(6)] = placed.value;
  const Json resolved =
      architecture.options.resolve(given, [&](const std::string& key) { return overrides.at("model." + key).where; });
  const auto factor = overrides.find(kWidthScale);
  return factor == overrides.end() ? resolved
                                   : scaled_widths(architecture, resolved, width_scale_of(factor->second), given);
}

void require_known_options(const Overrides& overrides, const Architectures& architectures) {
  std::set<std::string> known;
  for (const auto* architecture : architectures)
    for (const auto& name : architecture->options.names()) known.insert(name);
  for (const auto& [name, placed] : overrides)
    if (name.starts_with("model.") && name != kWidthScale && !known.contains(name.substr(6)))
      throw UserError(placed.where + ": " +
                      unknown_name_message("architecture option", name.substr(6), {known.begin(), known.end()}));
}

std::vector<RunConfig> expand(const SuiteRequest& request) {
  const Plan plan = make_plan(request);
  std::vector<RunConfig> runs;
  for (const auto& dataset : request.datasets)
    for (const int fold : request.folds)
      for (const auto seed : request.seeds.empty() ? plan.suite.seeds : request.seeds) {
        int position = 0;
        for (const auto* architecture : plan.architectures)
          for (const auto& point : points_of(plan.axes, *architecture)) {
            runs.push_back(make_run(plan, dataset, *architecture, point));
            runs.back().position = position++;
            finish_run(runs.back(), plan, dataset, fold, seed);
          }
      }
  identify_files(runs);
  skip_repetitions(runs);
  return shard_of(runs, request);
}

}  // namespace m3d
