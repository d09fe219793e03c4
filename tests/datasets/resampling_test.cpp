#include "datasets/preprocessing/resampling.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "common/random.h"
#include "datasets/preprocessing/resize.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

std::vector<float> noise(const Shape3& shape) {
  const NamedUniform value("resampling test");
  std::vector<float> voxels(static_cast<std::size_t>(voxel_count(shape)));
  for (std::size_t i = 0; i < voxels.size(); ++i) voxels[i] = static_cast<float>(value(i));
  return voxels;
}

std::vector<std::int16_t> random_labels(const Shape3& shape, int count) {
  std::vector<std::int16_t> labels;
  for (const float value : noise(shape)) labels.push_back(static_cast<std::int16_t>((value + 1) / 2 * count - 1));
  return labels;
}

constexpr Spacing3 kCube{1, 1, 1};

Resampling line(std::int64_t from, std::int64_t to, int order) {
  return {{1, 1, from}, {1, 1, to}, kCube, kCube, {order, 0, {}}};
}

}  // namespace

TEST_CASE("new shapes are rounded to even halves") {
  CHECK(shape_at_spacing({5, 3, 7}, {1, 1, 1}, {2, 2, 2}) == Shape3{2, 2, 4});
  CHECK(shape_at_spacing({100, 512, 512}, {2, 0.7, 0.7}, {1.5, 1, 1}) == Shape3{133, 358, 358});
}

TEST_CASE("one axis is resampled apart where its spacing stands out, before or after") {
  CHECK(separate_axis({5, 1, 1}, {4, 1, 1}, {}) == 0);
  CHECK(separate_axis({1, 1, 5}, {1, 1, 1}, {}) == 2);
  CHECK(separate_axis({1, 1, 1}, {1, 4, 1}, {}) == 1);
  CHECK_FALSE(separate_axis({3, 1, 1}, {3, 1, 1}, {}));  // a factor of 3 is not more than 3
  CHECK_FALSE(separate_axis({5, 5, 1}, {1, 1, 1}, {}));  // two axes share the largest spacing
  CHECK_FALSE(separate_axis({5, 1, 1}, {1, 1, 1}, {3, 0, false}));
  CHECK(separate_axis({2, 1, 1}, {1, 1, 1}, {3, 0, true}) == 0);
}

TEST_CASE("linear and nearest values lie where half-pixel grids say") {
  const std::vector<float> ramp{0, 4, 8};
  CHECK(line(3, 6, 1).image(ramp) == std::vector<float>{0, 1, 3, 5, 7, 8});
  CHECK(line(3, 6, 0).image(ramp) == std::vector<float>{0, 0, 4, 4, 8, 8});
  CHECK(line(3, 1, 1).image(ramp) == std::vector<float>{4});
  CHECK(line(1, 4, 3).image(std::vector<float>{2.5F}) == std::vector<float>(4, 2.5F));
}

TEST_CASE("the cubic spline continues a parabola away from the edges, and is clipped to the input's range") {
  std::vector<float> parabola(64);
  for (std::size_t i = 0; i < parabola.size(); ++i) parabola[i] = static_cast<float>(i * i);
  const auto finer = line(64, 128, 3).image(parabola);
  for (std::size_t i = 40; i < 88; ++i) {
    const double at = (static_cast<double>(i) + 0.5) / 2 - 0.5;
    CHECK(finer[i] == Approx(at * at).epsilon(1e-5));  // the edges' influence falls by 0.27 a voxel
  }
  std::vector<float> step(16, 0);
  std::fill(step.begin() + 8, step.end(), 1.0F);
  const auto clipped = line(16, 37, 3).image(step);
  CHECK(*std::min_element(clipped.begin(), clipped.end()) == 0);
  CHECK(*std::max_element(clipped.begin(), clipped.end()) == 1);
}

TEST_CASE("slices of a separate axis are clipped one by one and taken as a whole") {
  const Shape3 shape{3, 8, 8}, finer{6, 11, 13};
  auto voxels = noise(shape);
  for (std::size_t i = 64; i < 128; ++i) voxels[i] += 10;
  const auto result = Resampling(shape, finer, {5, 1, 1}, {2.5, 0.7, 0.6}, {}).image(voxels);
  const auto slice = [&](std::size_t z) {
    return std::vector<float>(result.begin() + static_cast<std::ptrdiff_t>(z * 143),
                              result.begin() + static_cast<std::ptrdiff_t>((z + 1) * 143));
  };
  CHECK(slice(2) == slice(3));
  CHECK(slice(2) != slice(4));
  const auto middle = slice(2);
  CHECK(*std::min_element(middle.begin(), middle.end()) >= 9);
}

TEST_CASE("a tie goes to the nearest voxel's label, or by the older rule to the larger label") {
  const std::vector<std::int16_t> labels{2, 0, 1};
  CHECK(line(3, 6, 1).labels(labels) == std::vector<std::int16_t>{2, 2, 0, 0, 1, 1});
  const Resampling halved({1, 2, 2}, {1, 1, 1}, kCube, kCube, {1, 0, {}});
  CHECK(halved.labels(std::vector<std::int16_t>{3, 3, 1, 1}) == std::vector<std::int16_t>{1});  // nearest: the last
  CHECK(halved.labels(std::vector<std::int16_t>{3, 3, 1, 1}, LabelRule::legacy_threshold) ==
        std::vector<std::int16_t>{3});
  CHECK(halved.labels(std::vector<std::int16_t>{4, 3, 2, 1}, LabelRule::legacy_threshold) ==
        std::vector<std::int16_t>{0});  // none reaches one half
  CHECK(halved.labels(std::vector<std::int16_t>{-1, -1, -1, 0}) == std::vector<std::int16_t>{-1});
}

TEST_CASE("equal grids give the voxels back; other orders are refused") {
  const Shape3 shape{4, 5, 6};
  CHECK(Resampling(shape, shape, {5, 1, 1}, {5, 1, 1}, {}).image(noise(shape)) == noise(shape));
  CHECK_THROWS_AS(line(3, 4, 2), std::invalid_argument);
  CHECK_THROWS_AS(line(3, 0, 1), std::invalid_argument);
  CHECK_THROWS_AS(line(3, 4, 3).labels(std::vector<std::int16_t>(3)), std::invalid_argument);
}

TEST_CASE("neither voxels nor labels depend on the number of threads") {
  const Shape3 shape{37, 50, 41}, other{29, 61, 70};
  const int threads = omp_get_max_threads();
  for (const Spacing3& spacing : {Spacing3{1, 1, 1}, Spacing3{1, 6, 1}}) {
    const Resampling cubic(shape, other, spacing, kCube, {}), linear(shape, other, spacing, kCube, {1, 0, {}});
    omp_set_num_threads(1);
    const auto image = cubic.image(noise(shape));
    const auto labels = linear.labels(random_labels(shape, 5));
    omp_set_num_threads(3);
    CHECK(cubic.image(noise(shape)) == image);
    CHECK(linear.labels(random_labels(shape, 5)) == labels);
    omp_set_num_threads(threads);
  }
}

TEST_CASE("a volume resized in narrow blocks of columns has the same bits") {
  const Shape3 shape{17, 20, 31}, other{23, 14, 45};
  for (const int order : {0, 1, 3}) {
    std::vector<float> whole(static_cast<std::size_t>(voxel_count(other))), blocks = whole;
    resize_volume(noise(shape).data(), shape, other, order, whole.data());
    resize_volume(noise(shape).data(), shape, other, order, blocks.data(), 1);
    CHECK(whole == blocks);
  }
}
