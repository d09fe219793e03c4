#include "suite/evaluate/metrics.h"

#include <cmath>

#include "common/random.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

LabelImage empty_image(const Shape3& shape, const std::array<double, 3>& spacing = {1, 1, 1}) {
  LabelImage image;
  image.geometry.shape = shape;
  image.geometry.spacing_mm = spacing;
  image.voxels.assign(static_cast<std::size_t>(voxel_count(shape)), 0);
  return image;
}

/// Random blocks of labels 0 … 3.
LabelImage random_image(std::uint64_t seed) {
  LabelImage image = empty_image({7, 9, 8}, {2.5, 0.7, 1.3});
  RandomStream random(seed, "metrics_test");
  for (int block = 0; block < 12; ++block) {
    const auto z = random.integer(0, 4), y = random.integer(0, 6), x = random.integer(0, 5);
    const auto label = static_cast<std::int16_t>(random.integer(0, 3));
    for (std::int64_t i = 0; i < 27; ++i) image.at(z + i / 9, y + i / 3 % 3, x + i % 3) = label;
  }
  return image;
}

using Point = std::array<std::int64_t, 3>;

bool contains(const LabelClass& label_class, int value) {
  return std::find(label_class.values.begin(), label_class.values.end(), value) != label_class.values.end();
}

std::vector<Point> brute_surface(const LabelImage& image, const LabelClass& label_class) {
  const auto inside = [&](Point p) {
    for (std::size_t axis = 0; axis < 3; ++axis)
      if (p[axis] < 0 || p[axis] >= image.shape()[axis]) return false;
    return contains(label_class, image.at(p[0], p[1], p[2]));
  };
  std::vector<Point> surface;
  for (std::int64_t z = 0; z < image.shape()[0]; ++z)
    for (std::int64_t y = 0; y < image.shape()[1]; ++y)
      for (std::int64_t x = 0; x < image.shape()[2]; ++x)
        if (inside({z, y, x}) && !(inside({z - 1, y, x}) && inside({z + 1, y, x}) && inside({z, y - 1, x}) &&
                                   inside({z, y + 1, x}) && inside({z, y, x - 1}) && inside({z, y, x + 1})))
          surface.push_back({z, y, x});
  return surface;
}

std::vector<double> brute_distances(const std::vector<Point>& from, const std::vector<Point>& to,
                                    const std::array<double, 3>& spacing) {
  std::vector<double> distances;
  for (const Point& a : from) {
    double nearest = 1e300;
    for (const Point& b : to) {
      double squared = 0;
      for (std::size_t axis = 0; axis < 3; ++axis)
        squared += std::pow(spacing[axis] * static_cast<double>(a[axis] - b[axis]), 2);
      nearest = std::min(nearest, std::sqrt(squared));
    }
    distances.push_back(nearest);
  }
  return distances;
}

const std::vector<LabelClass> kClasses = {
    {"one", {1}}, {"two", {2}}, {"three", {3}}, {"whole", {1, 2, 3}}, {"core", {1, 3}}};

}  // namespace

TEST_CASE("surface distances equal those of all pairs", "[metrics]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const LabelImage prediction = random_image(seed), reference = random_image(seed + 1000);
    const auto distances = surface_distances(prediction, reference, kClasses);
    for (std::size_t i = 0; i < kClasses.size(); ++i) {
      INFO("seed " << seed << " class " << kClasses[i].name);
      const auto predicted = brute_surface(prediction, kClasses[i]), expected = brute_surface(reference, kClasses[i]);
      if (predicted.empty() || expected.empty()) {
        CHECK(distances[i].prediction_to_reference.empty());
        continue;
      }
      const auto& spacing = reference.geometry.spacing_mm;
      const auto forward = brute_distances(predicted, expected, spacing),
                 back = brute_distances(expected, predicted, spacing);
      REQUIRE(distances[i].prediction_to_reference.size() == forward.size());
      REQUIRE(distances[i].reference_to_prediction.size() == back.size());
      for (std::size_t k = 0; k < forward.size(); ++k)
        REQUIRE(distances[i].prediction_to_reference[k] == Approx(forward[k]).epsilon(1e-12));
      for (std::size_t k = 0; k < back.size(); ++k)
        REQUIRE(distances[i].reference_to_prediction[k] == Approx(back[k]).epsilon(1e-12));
    }
  }
}

TEST_CASE("all classes at once give what each gives alone", "[metrics]") {
  const LabelImage prediction = random_image(7), reference = random_image(8);
  const auto together = evaluate_case(prediction, reference, kClasses, 1.0);
  for (std::size_t i = 0; i < kClasses.size(); ++i) {
    const StructureMetrics alone = evaluate_case(prediction, reference, {kClasses[i]}, 1.0).front();
    CHECK(together[i].dice == alone.dice);
    CHECK(together[i].hd95_mm == alone.hd95_mm);
    CHECK(together[i].nsd == alone.nsd);
    CHECK(together[i].true_positive == alone.true_positive);
    CHECK(together[i].true_negative == alone.true_negative);
  }
}

TEST_CASE("counts add up to the volume and Dice follows from them", "[metrics]") {
  const LabelImage prediction = random_image(3), reference = random_image(4);
  for (const StructureMetrics& m : evaluate_case(prediction, reference, kClasses, 1.0)) {
    CHECK(m.true_positive + m.false_positive + m.false_negative + m.true_negative == voxel_count(reference.shape()));
    REQUIRE(m.dice);
    CHECK(*m.dice == Approx(2.0 * static_cast<double>(m.true_positive) /
                            static_cast<double>(2 * m.true_positive + m.false_positive + m.false_negative)));
  }
}

TEST_CASE("empty structures follow the rules", "[metrics]") {
  LabelImage with = empty_image({4, 4, 4}), without = empty_image({4, 4, 4});
  with.at(1, 2, 3) = 1;
  const std::vector<LabelClass> classes = {{"one", {1}}};
  const StructureMetrics both = evaluate_case(without, without, classes, 1).front();
  CHECK_FALSE(both.dice);
  CHECK_FALSE(both.hd95_mm);
  CHECK_FALSE(both.nsd);
  CHECK_FALSE(both.missed());
  const StructureMetrics missed = evaluate_case(without, with, classes, 1).front();
  CHECK(missed.dice == 0.0);
  CHECK(missed.nsd == 0.0);
  CHECK_FALSE(missed.hd95_mm);
  CHECK(missed.missed());
  const StructureMetrics invented = evaluate_case(with, without, classes, 1).front();
  CHECK(invented.dice == 0.0);
  CHECK(invented.nsd == 0.0);
  CHECK_FALSE(invented.hd95_mm);
  CHECK_FALSE(invented.missed());
}

TEST_CASE("the NSD tolerance includes distances that a float32 header rounds up", "[metrics]") {
  const double spacing = static_cast<double>(0.1f);  // 0.100000001490116
  LabelImage prediction = empty_image({1, 1, 30}, {1, 1, spacing}), reference = prediction;
  prediction.at(0, 0, 5) = 1;
  reference.at(0, 0, 15) = 1;
  CHECK(evaluate_case(prediction, reference, {{"one", {1}}}, 1.0).front().nsd == 1.0);
  CHECK(evaluate_case(prediction, reference, {{"one", {1}}}, 0.99).front().nsd == 0.0);
}

TEST_CASE("a thin structure of one voxel's depth lies on its own surface", "[metrics]") {
  LabelImage image = empty_image({1, 3, 3}, {5, 1, 1});
  for (auto& voxel : image.voxels) voxel = 1;
  CHECK(surface_distances(image, image, {{"one", {1}}}).front().prediction_to_reference == std::vector<double>(9, 0.0));
}

TEST_CASE("images of different shapes are refused", "[metrics]") {
  CHECK_THROWS_AS(evaluate_case(empty_image({2, 2, 2}), empty_image({2, 2, 3}), kClasses, 1), std::invalid_argument);
}

TEST_CASE("percentiles interpolate between order statistics", "[metrics]") {
  CHECK(percentile({3, 1, 2}, 50) == 2);
  CHECK(percentile({1, 2}, 95) == Approx(1.95));
  CHECK(percentile({5}, 95) == 5);
  CHECK(percentile({1, 2, 3, 4, 5}, 100) == 5);
}

TEST_CASE("the diagonal spans the whole image", "[metrics]") {
  CHECK(diagonal_mm(empty_image({3, 4, 6}, {1, 1, 2}).geometry) == Approx(13));
}
