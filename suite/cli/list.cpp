// m3d-bench list: everything that exists.
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdio>

#include "ablations/run_config.h"
#include "ablations/suite.h"
#include "architectures/registry.h"
#include "datasets/catalogue/dataset.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"

namespace m3d {
namespace {

struct ListOptions {
  std::string what;
  bool json = false;
};

Json list_suites() {
  Json list = Json::array();
  for (const auto& name : suite_names()) {
    const Suite suite = load_suite(name, "list");
    Json axes = Json::object(), architectures = Json::array();
    for (const auto& axis : suite.axes)
      for (const auto& value : axis.values) axes[axis.name].push_back(value.value);
    for (const auto& pattern : suite.architectures) architectures.push_back(pattern.value);
    list.push_back({{"name", suite.name},
                    {"description", suite.description},
                    {"architectures", architectures},
                    {"axes", axes},
                    {"seeds", suite.seeds},
                    {"cost", suite.cost}});
  }
  return list;
}

Json list_recipes() {
  Json list = Json::array();
  for (const auto& name : recipe_names()) {
    const Recipe recipe = load_recipe(name, "list");
    Json settings = Json::object();
    for (const auto& [key, placed] : recipe.settings) settings[key] = placed.value;
    list.push_back({{"name", recipe.name},
                    {"description", recipe.description},
                    {"source", recipe.source},
                    {"settings", nest_settings(settings)}});
  }
  return list;
}

Json option_json(const OptionSpec& spec) {
  Json option = {{"name", spec.name},
                 {"type", to_string(spec.type)},
                 {"default", spec.default_value},
                 {"description", spec.description}};
  if (!spec.choices.empty()) option["choices"] = spec.choices;
  return option;
}

Json list_architectures() {
  Json list = Json::array();
  for (const auto& name : architecture_names()) {
    const Architecture& architecture = find_architecture(name);
    Json options = Json::array();
    for (const auto& spec : architecture.options.specs()) options.push_back(option_json(spec));
    list.push_back({{"name", name},
                    {"description", architecture.title + ": " + architecture.paper},
                    {"title", architecture.title},
                    {"family", architecture.family},
                    {"paper", architecture.paper},
                    {"source", architecture.source},
                    {"bibtex", architecture.bibtex},
                    {"options", options}});
  }
  return list;
}

Json list_axes() {
  Json list = Json::array();
  for (const auto& axis : all_axes()) {
    Json values = Json::array(), applies = Json::array();
    for (const auto& value : axis.values)
      values.push_back({{"value", value.value}, {"title", value.title}, {"description", value.description}});
    for (const auto& name : architecture_names())
      if (axis.applies_to(find_architecture(name))) applies.push_back(name);
    list.push_back({{"name", axis.name},
                    {"description", axis.description},
                    {"default", axis.default_value},
                    {"values", values},
                    {"architectures", applies}});
  }
  return list;
}

Json list_datasets() {
  Json list = Json::array();
  for (const auto& name : dataset_names()) {
    Json entry = {{"name", name}};
    const Json descriptor = dataset_descriptor(name);
    entry["description"] = descriptor.value("title", "");
    entry.update(descriptor);
    list.push_back(entry);
  }
  return list;
}

/// The halves of a differentiable operator are not for callers.
bool is_half(const std::string& name) { return name.ends_with("_forward") || name.ends_with("_backward"); }

Json list_operators() {
  Json list = Json::array();
  for (const auto& operator_name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (!operator_name.name.starts_with("m3d::") || is_half(operator_name.name)) continue;
    const auto handle = c10::Dispatcher::singleton().findSchema(operator_name);
    if (!handle) continue;
    std::ostringstream schema;
    schema << handle->schema();
    list.push_back({{"name", operator_name.name.substr(5)}, {"description", schema.str()}});
  }
  std::sort(list.begin(), list.end(), [](const Json& a, const Json& b) { return a["name"] < b["name"]; });
  return list;
}

/// "[single,tri]", as --axis takes it.
std::string bracketed(const Json& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ",") + name.get<std::string>();
  return "[" + text + "]";
}

/// Architectures and axes of a suite, options of a dataset, or the values of an axis, under its entry of the plain
/// listing.
std::string details_of(const Json& entry, const std::string& what) {
  std::string details;
  if (what == "suites") {
    for (const auto& pattern : entry["architectures"]) details += "  " + pattern.get<std::string>();
    for (const auto& [axis, values] : entry["axes"].items()) details += "  " + axis + "=" + bracketed(values);
  }
  const Json options = what == "datasets" ? entry.value("options", Json::object()) : Json::object();
  for (const auto& [option, content] : options.items()) {
    Json values = Json::array();
    for (const auto& [value, overrides] : content["values"].items()) values.push_back(value);
    details += "  " + option + "=" + bracketed(values);
  }
  if (what == "axes")
    for (const auto& value : entry["values"]) details += "  " + value["value"].get<std::string>();
  return details;
}

int run_list(const ListOptions& options) {
  const std::map<std::string, Json (*)()> lists = {
      {"suites", list_suites}, {"recipes", list_recipes},   {"architectures", list_architectures},
      {"axes", list_axes},     {"datasets", list_datasets}, {"operators", list_operators}};
  const Json list = lists.at(options.what)();
  if (options.json) return print_json(list);
  for (const auto& entry : list) {
    std::printf("%-26s %s\n", entry["name"].get<std::string>().c_str(),
                entry["description"].get<std::string>().c_str());
    if (const std::string details = details_of(entry, options.what); !details.empty())
      std::printf("%-26s%s\n", "", details.c_str());
  }
  return 0;
}

}  // namespace

void add_list(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* list = app.add_subcommand("list", "Show what exists.");
  list->footer("Examples:\n  m3d-bench list suites\n  m3d-bench list axes --json");
  list->add_option("what", options->what, "suites, recipes, architectures, axes, datasets or operators")
      ->required()
      ->check(one_of("list", {"suites", "recipes", "architectures", "axes", "datasets", "operators"}));
  list->add_flag("--json", options->json, "one JSON document on stdout");
  list->callback([options, &chosen] { chosen = [options] { return run_list(*options); }; });
}

}  // namespace m3d
