#include "common/strict_yaml.h"

#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;
using Catch::Matchers::Contains;

TEST_CASE("scalars follow the core schema") {
  const auto root = YamlDocument::parse("a: 3\nb: 1.5e-3\nc: true\nd: tri\ne: \"3\"\nf: [1, x]\ng: ~\nh: 3d\n", "t.yaml").root();
  CHECK(root["a"] == 3);
  CHECK(root["a"].is_number_integer());
  CHECK(root["b"] == 1.5e-3);
  CHECK(root["c"] == true);
  CHECK(root["d"] == "tri");
  CHECK(root["e"] == "3");
  CHECK(root["f"] == Json::array({1, "x"}));
  CHECK(root["g"].is_null());
  CHECK(root["h"] == "3d");
}

TEST_CASE("duplicate keys name both lines") {
  REQUIRE_THROWS_WITH(YamlDocument::parse("a: 1\nb: 2\na: 3\n", "t.yaml"),
                      Contains("t.yaml:3") && Contains("'a'") && Contains("line 1"));
}

TEST_CASE("malformed YAML names the line") {
  REQUIRE_THROWS_WITH(YamlDocument::parse("a: 1\nb: [1, 2\n", "t.yaml"), Contains("t.yaml:") && Contains("not valid YAML"));
  REQUIRE_THROWS_AS(YamlDocument::parse("a: {", "t.yaml"), UserError);
}

TEST_CASE("escapes that yaml-cpp turns into single bytes are refused, in keys and values") {
  CHECK_THROWS_WITH(YamlDocument::parse("a: 1\nb: \"x\\_y\"\n", "t.yaml"), Contains("t.yaml:2") && Contains("escape"));
  CHECK_THROWS_WITH(YamlDocument::parse("\"x\\Ny\": 1\n", "t.yaml"), Contains("t.yaml:1") && Contains("escape"));
  CHECK(YamlDocument::parse("a: \"x\\u00e9\"\n", "t.yaml").root()["a"] == "x\u00e9");
}

TEST_CASE("unknown keys suggest the nearest one") {
  const auto document = YamlDocument::parse("x:\n  sacn: tri\n", "t.yaml");
  REQUIRE_THROWS_WITH(require_known_keys(document, "/x", {"scan", "merge"}),
                      Contains("t.yaml:2") && Contains("'sacn'") && Contains("did you mean 'scan'"));
}

TEST_CASE("to_yaml round-trips") {
  const Json value = {{"name", "3"}, {"list", {1, 2.5, "x"}}, {"nested", {{"flag", true}, {"none", nullptr}}}, {"empty", ""}};
  CHECK(YamlDocument::parse(to_yaml(value), "t.yaml").root() == value);
}

TEST_CASE("a missing file is a user error") {
  REQUIRE_THROWS_WITH(YamlDocument::load("/nonexistent/x.yaml"), Contains("/nonexistent/x.yaml"));
}
