#include "common/random.h"

#include "tests/catch.h"

using namespace m3d;

TEST_CASE("streams repeat and differ by name and index") {
  RandomStream a(1, "patch", 3), again(1, "patch", 3), other(1, "patch", 4), named(1, "mirror", 3);
  const auto first = a.next();
  CHECK(first == again.next());
  CHECK(first != other.next());
  CHECK(first != named.next());
}

TEST_CASE("uniform and normal have their moments") {
  RandomStream stream(7, "moments");
  double sum = 0, squares = 0, low = 1, high = 0;
  constexpr int n = 20000;
  for (int i = 0; i < n; ++i) {
    const double u = stream.uniform();
    low = std::min(low, u);
    high = std::max(high, u);
    const double x = stream.normal();
    sum += x;
    squares += x * x;
  }
  CHECK(low >= 0);
  CHECK(high < 1);
  CHECK(sum / n == Approx(0).margin(0.03));
  CHECK(squares / n == Approx(1).margin(0.05));
}
