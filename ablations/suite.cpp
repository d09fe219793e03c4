#include "ablations/suite.h"

#include <algorithm>

#include "common/error.h"
#include "common/nearest_name.h"
#include "common/resources.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& file : yaml_files(folder)) names.push_back(file.stem());
  return names;
}

/// A file of the suite's own data by name, or any file by a path relative to `beside`.
fs::path find_file(const std::string& name, const std::string& kind, const fs::path& beside, const std::string& where) {
  if (name.ends_with(".yaml") || name.ends_with(".yml")) {
    const fs::path file = beside / name;
    if (!fs::is_regular_file(file)) throw UserError(where + ": no such file: " + file.string());
    return file;
  }
  const std::string folder = "ablations/" + kind + "s";
  const auto known = names_in(folder);
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw UserError(where + ": " + unknown_name_message(kind, name, known));
  return data_folder() / folder / (name + ".yaml");
}

/// Lays the file and, under it, those that it extends.
void overlay_with_ancestors(LayeredYaml& yaml, const fs::path& file, std::vector<fs::path> chain,
                            const std::string& where) {
  const fs::path identity = fs::weakly_canonical(file);
  if (std::find(chain.begin(), chain.end(), identity) != chain.end())
    throw UserError(where + ": 'extends' goes round in a circle through " + file.string());
  chain.push_back(identity);
  const YamlDocument document = YamlDocument::load(file);
  if (document.root().is_object() && document.root().contains("extends")) {
    const Json& parent = document.root().at("extends");
    if (!parent.is_string()) throw UserError(document.where("/extends") + ": 'extends' expects a suite's name or file");
    const std::string at = document.where("/extends");
    overlay_with_ancestors(yaml, find_file(parent.get<std::string>(), "suite", file.parent_path(), at), chain, at);
  }
  yaml.overlay(document);
}

/// The values of the recipe that `pointer` of a suite names; of `instead`, unless it is empty.
Overrides recipe_values(const LayeredYaml& suite, const std::string& pointer, const std::string& instead) {
  if (!suite.has(pointer)) return {};
  return (instead.empty() ? load_recipe(suite.text(pointer), suite.where(pointer)) : load_recipe(instead, "--recipe"))
      .settings;
}

Overrides own_values(const LayeredYaml& yaml, const std::string& pointer,
                     const std::vector<std::string>& not_settings) {
  return yaml.has(pointer) ? flatten_sections(yaml, pointer, not_settings) : Overrides();
}

void require_scalars_once(const LayeredYaml& yaml, const std::string& pointer) {
  const Json& list = yaml.list(pointer);
  if (list.empty()) throw UserError(yaml.where(pointer) + ": the list is empty");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = yaml.where(pointer + "/" + std::to_string(i));
    if (list[i].is_structured()) throw UserError(where + ": expected a name or number, got " + list[i].dump());
    if (std::find(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(i), list[i]) !=
        list.begin() + static_cast<std::ptrdiff_t>(i))
      throw UserError(where + ": " + list[i].dump() + " occurs twice in the list");
  }
}

std::vector<Placed> placed_names(const LayeredYaml& yaml, const std::string& pointer) {
  require_scalars_once(yaml, pointer);
  std::vector<Placed> names;
  for (std::size_t i = 0; i < yaml.at(pointer).size(); ++i)
    names.push_back({plain_text(yaml.at(pointer)[i]), yaml.where(pointer + "/" + std::to_string(i))});
  return names;
}

std::vector<AxisChoice> read_axis_choices(const LayeredYaml& yaml) {
  std::vector<AxisChoice> choices;
  for (const auto& [name, values] : yaml.mapping("/axes").items()) {
    const std::string where = yaml.where("/axes/" + name);
    if (name.find_first_of("/~") != std::string::npos)  // what JSON pointers give a meaning
      throw UserError(where + ": '" + name + "' is not the name of an axis (list axes shows them)");
    choices.push_back({name, placed_names(yaml, "/axes/" + name), where});
  }
  return choices;
}

Exclusion read_exclusion(const LayeredYaml& yaml, const std::string& pointer, const std::vector<Axis>& axes) {
  yaml.require_known_keys(pointer, {"match", "reason"});
  Exclusion exclusion;
  exclusion.reason = yaml.text(pointer + "/reason");
  for (const auto& [key, value] : yaml.mapping(pointer + "/match").items()) {
    const std::string at = pointer + "/match/" + key;
    const bool is_axis = key != "architecture" && key != "dataset";
    const Axis* axis = is_axis ? &find_axis(axes, key, yaml.where(at)) : nullptr;
    for (const Json& item : value.is_array() ? value : Json::array({value})) {
      if (axis) axis->at(plain_text(item), yaml.where(at));
      exclusion.match[key].push_back(plain_text(item));
    }
  }
  if (exclusion.match.empty())
    throw UserError(yaml.where(pointer) + ": 'match' is missing: it would exclude every run");
  return exclusion;
}

std::vector<std::uint64_t> read_seeds(const LayeredYaml& yaml) {
  if (!yaml.has("/seeds")) return {0};
  require_scalars_once(yaml, "/seeds");
  std::vector<std::uint64_t> seeds;
  for (const Json& seed : yaml.at("/seeds")) {
    if (!seed.is_number_unsigned() && !(seed.is_number_integer() && seed.get<std::int64_t>() >= 0))
      throw UserError(yaml.where("/seeds") + ": a seed is a whole number from 0, got " + seed.dump());
    seeds.push_back(seed.get<std::uint64_t>());
  }
  return seeds;
}

std::string checked_name(const LayeredYaml& yaml) {
  const std::string name = yaml.text("/name");
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-';
  });
  if (!plain) throw UserError(yaml.where("/name") + ": a suite's name becomes a folder: letters, digits, _ and - only");
  return name;
}

}  // namespace

std::vector<std::string> suite_names() { return names_in("ablations/suites"); }

std::vector<std::string> recipe_names() { return names_in("ablations/recipes"); }

Recipe load_recipe(const std::string& name_or_file, const std::string& where) {
  LayeredYaml yaml;
  yaml.overlay(YamlDocument::load(find_file(name_or_file, "recipe", "", where)));
  return {yaml.text("/name"), yaml.text("/description"), yaml.text_or_empty("/source"),
          flatten_sections(yaml, "", {"name", "description", "source"})};
}

Suite load_suite(const std::string& name_or_file, const std::string& where, const std::string& recipe) {
  LayeredYaml yaml;
  overlay_with_ancestors(yaml, find_file(name_or_file, "suite", "", where), {}, where);
  return read_suite(yaml, recipe);
}

Suite read_suite(const LayeredYaml& yaml, const std::string& recipe) {
  yaml.require_known_keys(
      "", {"name", "description", "extends", "base", "axes", "architectures", "exclude", "seeds", "cost"});
  Suite suite;
  suite.name = checked_name(yaml);
  suite.description = yaml.text("/description");
  suite.cost = yaml.text_or_empty("/cost");
  suite.recipe = yaml.has("/base/recipe") || recipe.empty() ? recipe_values(yaml, "/base/recipe", recipe)
                                                            : load_recipe(recipe, "--recipe").settings;
  suite.base = own_values(yaml, "/base", {"recipe", "embedded"});
  suite.embedded_recipe = recipe_values(yaml, "/base/embedded/recipe", recipe);
  suite.embedded = own_values(yaml, "/base/embedded", {"recipe"});
  suite.axes = read_axis_choices(yaml);
  suite.architectures = placed_names(yaml, "/architectures");
  const auto axes = all_axes();
  for (std::size_t i = 0; i < yaml.list("/exclude").size(); ++i)
    suite.exclude.push_back(read_exclusion(yaml, "/exclude/" + std::to_string(i), axes));
  suite.seeds = read_seeds(yaml);
  return suite;
}

}  // namespace m3d
