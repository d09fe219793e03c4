#include "common/pickle.h"

#include "tests/catch.h"

using namespace m3d;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

PicklePointer read(const std::string& bytes) {
  std::size_t position = 0;
  return read_pickle(bytes, position);
}

}  // namespace

TEST_CASE("a pickle's values may be shared but not contain themselves") {
  const auto twice = read("\x80\x02](]q\0h\0e."s);  // [a, a]
  REQUIRE(twice->items.size() == 2);
  CHECK(twice->items[0] == twice->items[1]);
  CHECK_THROWS_WITH(read("\x80\x02]q\0h\0a."s), Contains("contains itself"));              // a = [a]
  CHECK_THROWS_WITH(read("\x80\x02}q\0K\x01]q\x01h\0as."s), Contains("contains itself"));  // a = {1: [a]}
  CHECK_THROWS(read("\x80\x02]q\0h\0a"s));  // ends early: nothing of the cycle may stay (sanitizers look)
}

TEST_CASE("lists nested deeper than the stack are read") {
  constexpr int depth = 300'000;
  std::string bytes = "\x80\x02";
  for (int i = 0; i < depth; ++i) bytes += "]";
  for (int i = 1; i < depth; ++i) bytes += "a";
  CHECK_THROWS_WITH(read(bytes), Contains("ends early"));
  const PicklePointer outer = read(bytes + ".");
  int found = 1;
  for (const PickleValue* one = outer.get(); !one->items.empty(); one = one->items[0].get()) ++found;
  CHECK(found == depth);
}
