#include "common/nearest_name.h"

#include "tests/catch.h"

using namespace m3d;

TEST_CASE("a slip finds its name, nonsense finds none") {
  const std::vector<std::string> known{"scanning", "multiscale", "cumulative", "smoke"};
  CHECK(nearest_name("scaning", known) == "scanning");
  CHECK(nearest_name("mutliscale", known) == "multiscale");
  CHECK(nearest_name("smo", known) == "smoke");
  CHECK(nearest_name("xyzzyplugh", known).empty());
}
