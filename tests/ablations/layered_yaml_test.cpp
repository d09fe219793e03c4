#include "ablations/layered_yaml.h"

#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;
using Catch::Matchers::Contains;

namespace {

LayeredYaml layered(const std::string& lower, const std::string& upper) {
  LayeredYaml yaml;
  yaml.overlay(YamlDocument::parse(lower, "lower.yaml"));
  yaml.overlay(YamlDocument::parse(upper, "upper.yaml"));
  return yaml;
}

}  // namespace

TEST_CASE("layers merge mappings and replace the rest") {
  const auto yaml = layered("a: {x: 1, y: [1, 2, 3]}\nb: 2\n", "a:\n  y: [4]\n  z: 5\n");
  CHECK(yaml.root() == Json::parse(R"({"a": {"x": 1, "y": [4], "z": 5}, "b": 2})"));
}

TEST_CASE("every value knows the file and line it came from") {
  const auto yaml = layered("a:\n  x: 1\n  y: 2\n", "\n\na:\n  y: 3\n");
  CHECK(yaml.where("/a/x") == "lower.yaml:2");
  CHECK(yaml.where("/a/y") == "upper.yaml:4");
  CHECK(yaml.where("/a/unknown") == "upper.yaml:3");
}

TEST_CASE("null removes what a lower layer has") {
  const auto yaml = layered("a: {x: 1, y: 2}\n", "a: {x: ~}\n");
  CHECK_FALSE(yaml.has("/a/x"));
  CHECK(yaml.has("/a/y"));
}

TEST_CASE("wrong types name the line") {
  const auto yaml = layered("a: 3\n", "b: [1]\n");
  REQUIRE_THROWS_WITH(yaml.mapping("/a"), Contains("lower.yaml:1") && Contains("mapping"));
  REQUIRE_THROWS_WITH(yaml.list("/a"), Contains("lower.yaml:1") && Contains("list"));
  REQUIRE_THROWS_WITH(yaml.text("/b"), Contains("upper.yaml:1") && Contains("'b' expects text"));
  REQUIRE_THROWS_WITH(yaml.text("/c"), Contains("'c' is missing"));
  REQUIRE_THROWS_AS(layered("a: 1\n", "[1, 2]\n"), UserError);
}
