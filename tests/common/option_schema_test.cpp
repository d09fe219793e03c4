#include "common/option_schema.h"

#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;
using Catch::Matchers::Contains;

namespace {
const OptionSchema schema("setting", {{"epochs", OptionType::integer, 10, "passes", {}, 1},
                                      {"rate", OptionType::number, 0.1, "step size", {}, 0, 1},
                                      {"scan", OptionType::string, "single", "order", {"single", "tri"}},
                                      {"dwconv", OptionType::string, "3d", "kernel", {"1d", "3d"}},
                                      {"patch", OptionType::integer_list, Json::array(), "voxels", {}, 1}});
std::string where(const std::string&) { return "s.yaml:4"; }
}  // namespace

TEST_CASE("defaults fill what is not given") {
  const Json resolved = schema.resolve(Json{{"rate", 1}, {"scan", "tri"}}, where);
  CHECK(resolved["epochs"] == 10);
  CHECK(resolved["rate"].is_number_float());
  CHECK(resolved["scan"] == "tri");
}

TEST_CASE("wrong options say where, what and what else") {
  REQUIRE_THROWS_WITH(schema.resolve(Json{{"epoch", 3}}, where), Contains("s.yaml:4") && Contains("did you mean 'epochs'"));
  REQUIRE_THROWS_WITH(schema.resolve(Json{{"epochs", "many"}}, where), Contains("expects an integer"));
  REQUIRE_THROWS_WITH(schema.resolve(Json{{"epochs", 0}}, where), Contains("below 1"));
  REQUIRE_THROWS_WITH(schema.resolve(Json{{"rate", 2.0}}, where), Contains("above 1"));
  REQUIRE_THROWS_WITH(schema.resolve(Json{{"scan", "tre"}}, where), Contains("did you mean 'tri'"));
  REQUIRE_THROWS_WITH(schema.resolve(Json{{"patch", Json::array({1, "a"})}}, where), Contains("a list of integers"));
}
