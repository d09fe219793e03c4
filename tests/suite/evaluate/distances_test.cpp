#include <algorithm>
#include <cmath>

#include "common/random.h"
#include "suite/evaluate/distance_transform.h"
#include "suite/evaluate/label_rows.h"
#include "suite/evaluate/nearest_search.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

using Voxels = std::vector<std::int64_t>;

Voxels random_voxels(RandomStream& random, std::int64_t count, std::int64_t begin, std::int64_t end) {
  Voxels voxels;
  for (std::int64_t i = 0; i < count; ++i) voxels.push_back(random.integer(begin, end - 1));
  std::sort(voxels.begin(), voxels.end());
  voxels.erase(std::unique(voxels.begin(), voxels.end()), voxels.end());
  return voxels;
}

std::vector<double> distances_of_all_pairs(const Voxels& seeds, const Voxels& queries, const Shape3& shape,
                                           const std::array<double, 3>& spacing_mm) {
  const auto place = [&](std::int64_t voxel) {
    return std::array<double, 3>{static_cast<double>(voxel / shape[2] / shape[1]) * spacing_mm[0],
                                 static_cast<double>(voxel / shape[2] % shape[1]) * spacing_mm[1],
                                 static_cast<double>(voxel % shape[2]) * spacing_mm[2]};
  };
  std::vector<double> distances;
  for (const std::int64_t query : queries) {
    double least = 1e300;
    for (const std::int64_t seed : seeds) {
      const auto a = place(query), b = place(seed);
      least = std::min(least, std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]));
    }
    distances.push_back(least);
  }
  return distances;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

TEST_CASE("search and transform find the distances of all pairs", "[distances]") {
  RandomStream random(7, "distances_test");
  const std::vector<std::array<double, 3>> spacings{{1, 1, 1}, {3, 0.7, 0.4}, {0.4, 2, 5}, {0.5, 0.9, 30}};
  for (const Shape3& shape :
       {Shape3{9, 11, 37}, Shape3{1, 5, 64}, Shape3{20, 1, 1}, Shape3{3, 40, 17}, Shape3{2, 3, 8}})
    for (const auto& spacing : spacings)
      for (const std::int64_t count : {1, 6, 200}) {
        const std::int64_t all = voxel_count(shape);
        const Voxels seeds = random_voxels(random, count, 0, all), queries = random_voxels(random, 40, 0, all);
        CAPTURE(shape, spacing, count);
        const std::vector<double> expected = distances_of_all_pairs(seeds, queries, shape, spacing);
        CHECK(largest_difference(distances_to(seeds, queries, shape, spacing), expected) < 1e-10);
        const auto found = distances_by_search(seeds, queries, shape, spacing);
        // Few voxels may be queried in vain in a box as small as these.
        if (found) CHECK(largest_difference(*found, expected) < 1e-10);
        if (count == 200) CHECK(found);
      }
}

TEST_CASE("the search leaves masks that lie far apart to the transform", "[distances]") {
  RandomStream random(8, "distances_test");
  const Shape3 shape{60, 40, 200};
  const std::array<double, 3> spacing{0.5, 2, 0.5};
  const std::int64_t half = voxel_count(shape) / 2;
  const Voxels below = random_voxels(random, 3000, 0, half / 4),
               above = random_voxels(random, 3000, half * 7 / 4, 2 * half);
  CHECK_FALSE(distances_by_search(below, above, shape, spacing));
  CHECK(distances_by_search(below, below, shape, spacing) == std::vector<double>(below.size(), 0));
}

TEST_CASE("runs of labels end where either row changes", "[distances]") {
  RandomStream random(9, "distances_test");
  for (int round = 0; round < 50; ++round) {
    const std::int64_t width = random.integer(1, 150);
    std::vector<std::int16_t> a(static_cast<std::size_t>(width)), b(a);
    for (auto* row : {&a, &b})
      for (std::int64_t i = random.integer(0, 150); i < width; i += random.integer(1, 60))
        std::fill(row->begin() + i, row->end(), static_cast<std::int16_t>(random.integer(-3, 3)));
    const std::int64_t x = random.integer(0, width - 1);
    std::int64_t expected = x;
    const auto at = [](const std::vector<std::int16_t>& row, std::int64_t i) {
      return row[static_cast<std::size_t>(i)];
    };
    while (expected < width && at(a, expected) == at(a, x) && at(b, expected) == at(b, x)) ++expected;
    CHECK(run_end(a.data(), b.data(), x, width) == expected);
  }
}
