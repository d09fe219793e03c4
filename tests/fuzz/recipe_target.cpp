// A recipe, or the `base` of a suite, laid over another and resolved to settings; and a run's config.yaml.
#include "ablations/layered_yaml.h"
#include "ablations/overrides.h"
#include "ablations/run_config.h"
#include "tests/fuzz/fuzz_target.h"

using namespace m3d;

M3D_FUZZ_TARGET(recipe) {
  const YamlDocument document = YamlDocument::parse({reinterpret_cast<const char*>(data), size}, "recipe.yaml");
  LayeredYaml layers;
  layers.overlay(YamlDocument::parse("name: base\ntrain:\n  epochs: 3\n", "base.yaml"));
  layers.overlay(document);
  Json settings = Json::object();
  for (const auto& [name, placed] : flatten_sections(layers, "", {"name", "description"}))
    if (settings_schema().has(name)) settings[name] = placed.value;
  const auto where = [&](const std::string& key) { return layers.where("/" + key); };
  const Json resolved = nest_settings(settings_schema().resolve(settings, where));
  YamlDocument::parse(to_yaml(resolved), "written.yaml");
}
