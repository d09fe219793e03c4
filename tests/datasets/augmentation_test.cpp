#include "datasets/sampling/augmentation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "datasets/preprocessing/preprocessing.h"
#include "datasets/sampling/augmentation_operations.h"
#include "datasets/sampling/patch_sampler.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

constexpr Shape3 kPatch{12, 14, 10};
constexpr int kDraws = 20000;

/// Asserts that a share of kDraws is within five standard deviations of its probability.
void check_share(const char* what, int count, double probability, int draws = kDraws) {
  INFO(what << ": " << count << " of " << draws);
  CHECK(std::abs(count - draws * probability) < 5 * std::sqrt(draws * probability * (1 - probability)));
}

struct Range {
  double low = 1e9, high = -1e9, sum = 0;
  int count = 0;
  void add(double value) { low = std::min(low, value), high = std::max(high, value), sum += value, ++count; }
  /// All values within, and the ends nearly reached.
  void check(const char* what, double lowest, double highest) const {
    INFO(what << ": " << low << " to " << high << " in " << count);
    const double slack = (highest - lowest) * 0.02;
    CHECK((low >= lowest && low < lowest + slack));
    CHECK((high <= highest && high > highest - slack));
  }
};

std::vector<SampleAugmentation> drawn(const Shape3& patch, std::int64_t channels,
                                      Augmentation kind = Augmentation::nnunet) {
  std::vector<SampleAugmentation> all;
  for (int i = 0; i < kDraws; ++i) {
    RandomStream random(5, "augmentation", static_cast<std::uint64_t>(i));
    all.push_back(draw_augmentation(kind, patch, channels, random));
  }
  return all;
}

double determinant(const Matrix3& m) {
  return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

std::vector<float> ramp(const Shape3& shape) {
  std::vector<float> values(static_cast<std::size_t>(voxel_count(shape)));
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

std::shared_ptr<PreparedCase> noisy_case(const Shape3& shape, std::int64_t channels) {
  auto one = std::make_shared<PreparedCase>();
  one->shape = shape;
  one->channels = channels;
  RandomStream random(1, "case");
  for (std::int64_t i = 0; i < channels * voxel_count(shape); ++i)
    one->image.push_back(static_cast<float>(random.normal()));
  for (std::int64_t i = 0; i < voxel_count(shape); ++i)
    one->labels.push_back(static_cast<std::int16_t>(i / shape[2] % 5 - 1));
  one->class_locations = {{10, 200}, {300}};
  return one;
}

PatchSampler sampler_of(const std::shared_ptr<PreparedCase>& one, PatchSampler::Options options,
                        std::uint64_t seed = 3) {
  return {std::vector<std::shared_ptr<const PreparedCase>>{one}, std::move(options), seed};
}

}  // namespace

TEST_CASE("every step of the augmentation is drawn as often and from the ranges that nnU-Net has", "[augmentation]") {
  int spatial = 0, noise = 0, blurred = 0, blurred_channels = 0, brightness = 0, contrast = 0, low = 0,
      low_channels = 0, inverted = 0, gamma = 0, below = 0;
  Range deviation, sigma, brighter, contrasts, scale, gammas, zoom;
  for (const SampleAugmentation& one : drawn(kPatch, 3)) {
    spatial += one.spatial.has_value();
    if (one.spatial) zoom.add(std::cbrt(determinant(*one.spatial)));
    noise += one.noise_deviation > 0;
    if (one.noise_deviation > 0) deviation.add(one.noise_deviation);
    blurred += !one.blur.empty();
    for (const auto& channel : one.blur)
      if (channel) {
        ++blurred_channels;
        for (const double axis : *channel) sigma.add(axis);
      }
    brightness += !one.brightness.empty();
    for (const float factor : one.brightness) brighter.add(factor), below += factor < 1;
    contrast += !one.contrast.empty();
    for (const float factor : one.contrast) contrasts.add(factor);
    low += !one.low_resolution.empty();
    for (const auto& channel : one.low_resolution)
      if (channel) ++low_channels, scale.add(*channel);
    inverted += !one.inverted_gamma.empty();
    gamma += !one.gamma.empty();
    for (const float value : one.gamma) gammas.add(value);
  }
  check_share("spatial", spatial, 1 - 0.8 * 0.8);
  check_share("noise", noise, 0.1);
  check_share("blur", blurred, 0.2);
  check_share("blurred channels", blurred_channels, 0.5, 3 * blurred);
  check_share("brightness", brightness, 0.15);
  check_share("contrast", contrast, 0.15);
  check_share("low resolution", low, 0.25);
  check_share("channels of low resolution", low_channels, 0.5, 3 * low);
  check_share("inverted gamma", inverted, 0.1);
  check_share("gamma", gamma, 0.3);
  check_share("darker", below, 0.5, brighter.count);
  zoom.check("zoom", 0.7, 1.4);
  deviation.check("noise", 0, 0.1);
  sigma.check("sigma", 0.5, 1);
  brighter.check("brightness", 0.75, 1.25);
  contrasts.check("contrast", 0.75, 1.25);
  scale.check("scale", 0.5, 1);
  gammas.check("gamma", 0.7, 1.5);
}

TEST_CASE("the earlier versions draw zoom, blur and brightness in their own way", "[augmentation]") {
  int enlarged = 0, brighter = 0;
  Range zoom, sigma, brightness;
  for (const SampleAugmentation& one : drawn(kPatch, 3, Augmentation::nnunet_v1)) {
    CHECK(one.kind == Augmentation::nnunet_v1);
    if (one.spatial) {
      const double factor = std::cbrt(determinant(*one.spatial));
      if (std::abs(factor - 1) > 1e-9) zoom.add(factor), enlarged += factor < 1;
    }
    for (const auto& channel : one.blur)
      if (channel) {
        sigma.add((*channel)[0]);
        CHECK((*channel)[1] == (*channel)[0]);
        CHECK((*channel)[2] == (*channel)[0]);
      }
    for (const float factor : one.brightness) brightness.add(factor), brighter += factor > 1.1F;
  }
  zoom.check("zoom", 0.7, 1.4);
  check_share("enlarged", enlarged, 0.5, zoom.count);  // the current version: 3 of 7
  sigma.check("sigma", 0.5, 1);
  brightness.check("brightness", 0.75, 1.25);
  check_share("much brighter", brighter, 0.3, brightness.count);
}

TEST_CASE("rotations: thirty degrees about each axis; any angle within slices for a flat patch", "[augmentation]") {
  Range turn_of_x;
  int straight = 0, turned = 0;
  for (const SampleAugmentation& one : drawn(kPatch, 1))
    if (one.spatial) {
      const double zoom = std::cbrt(determinant(*one.spatial));
      const double sine = -(*one.spatial)[6] / zoom;  // of the angle about the second axis
      straight += std::abs(sine) < 1e-12;
      turned += std::abs(sine) >= 1e-12;
      if (std::abs(sine) >= 1e-12) turn_of_x.add(std::asin(sine) * 180 / M_PI);
    }
  check_share("scaled only", straight, 0.2 * 0.8 / 0.36, straight + turned);
  turn_of_x.check("angle", -30, 30);
  const auto check_planar = [](const Shape3& patch, double limit) {
    Range planar;
    for (const SampleAugmentation& one : drawn(patch, 1))
      if (one.spatial) {
        const Matrix3& m = *one.spatial;
        CHECK(std::array{m[0], m[1], m[2], m[3], m[6]} == std::array{1.0, 0.0, 0.0, 0.0, 0.0});
        planar.add(std::atan2(m[7], m[4]) * 180 / M_PI);
      }
    planar.check("angle", -limit, limit);
  };
  check_planar({4, 40, 30}, 180);
  check_planar({4, 40, 20}, 180);
  check_planar({1, 30, 20}, 180);  // 3:2 is not yet long
  check_planar({1, 40, 20}, 15);   // nnU-Net's 2d configuration
  check_planar({1, 20, 31}, 15);
}

TEST_CASE("a flat patch keeps its slices; a single slice that is long turns little", "[augmentation]") {
  CHECK(augments_slices({40, 192, 192}));
  CHECK(!augments_slices({64, 192, 192}));
  CHECK(initial_patch_size({1, 256, 256}) == Shape3{1, 301, 301});
  CHECK(initial_patch_size({1, 512, 256})[1] < 700);  // nnU-Net's 2D patches of more than 3:2 turn by 15 degrees
  // nnU-Net 2.8.1: compute_initial_patch_size.get_patch_size, with the trainer's angles for the patch.
  const std::vector<std::pair<Shape3, Shape3>> sizes = {
      {{1, 512, 512}, {1, 602, 602}},    {{1, 320, 512}, {1, 519, 602}},
      {{1, 256, 512}, {1, 446, 602}},    {{1, 512, 320}, {1, 679, 376}},
      {{1, 512, 256}, {1, 659, 301}},    {{1, 96, 160}, {1, 157, 188}},
      {{1, 15, 10}, {1, 17, 17}},        {{1, 640, 512}, {1, 752, 752}},
      {{1, 8, 5}, {1, 10, 5}},           {{1, 3, 2}, {1, 3, 3}},
      {{16, 320, 320}, {16, 376, 376}},  {{16, 48, 49}, {16, 57, 57}},
      {{20, 60, 60}, {55, 96, 72}},      {{20, 40, 62}, {20, 72, 72}},
      {{64, 128, 128}, {140, 205, 168}}, {{128, 128, 128}, {205, 205, 205}},
      {{40, 224, 192}, {40, 263, 263}}};
  for (const auto& [patch, loaded] : sizes) {
    INFO(patch[0] << "x" << patch[1] << "x" << patch[2]);
    CHECK(initial_patch_size(patch) == loaded);
  }
}

TEST_CASE("noise has the deviation asked for and does not repeat", "[augmentation]") {
  std::vector<float> values(100003, 0.0F), others(100003, 0.0F);
  add_gaussian_noise(values, 0.5F, 77);
  add_gaussian_noise(others, 0.5F, 78);
  double sum = 0, squares = 0, fourth = 0, product = 0, next = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = values[i] / 0.5;
    sum += x, squares += x * x, fourth += x * x * x * x;
    product += x * others[i] / 0.5;
    next += x * values[(i + 1) % values.size()] / 0.5;
  }
  const auto n = static_cast<double>(values.size());
  CHECK(std::abs(sum / n) < 5 / std::sqrt(n));
  CHECK(squares / n == Approx(1).margin(5 * std::sqrt(2 / n)));
  CHECK(fourth / n == Approx(3).margin(5 * std::sqrt(96 / n)));
  CHECK(std::abs(product / n) < 5 / std::sqrt(n));
  CHECK(std::abs(next / n) < 5 / std::sqrt(n));
}

TEST_CASE("operations keep what they promise on constant and thin volumes", "[augmentation]") {
  std::vector<float> flat(60, 2.5F);
  const Shape3 shape{1, 6, 10};
  blur(flat, shape, {1, 1, 1});
  change_contrast(flat, 1.25F);
  change_gamma(flat, {.gamma = 1.4F});
  change_gamma(flat, {.gamma = 0.7F, .invert = true});
  lower_resolution(flat, shape, 0.5, true);
  blur_by_scipy(flat, shape, 1);
  lower_resolution_by_spline(flat, shape, 0.5, false);
  for (const float value : flat) CHECK(value == Approx(2.5F).epsilon(1e-5));
  std::vector<float> small(3 * 2 * 2, 1.0F);  // shorter than the kernel's reach
  blur(small, {3, 2, 2}, {1, 1, 1});
  for (const float value : small) CHECK(value == Approx(1.0F).epsilon(1e-6));
}

TEST_CASE("mirroring turns over the chosen axes, each for itself", "[augmentation]") {
  const Shape3 shape = GENERATE(Shape3{3, 4, 5}, Shape3{2, 1, 4}, Shape3{1, 5, 3});
  const int chosen = GENERATE(range(0, 8));
  const std::array<bool, 3> axes{(chosen & 4) != 0, (chosen & 2) != 0, (chosen & 1) != 0};
  const std::vector<float> before = ramp(shape);
  std::vector<float> after = before;
  mirror(after, shape, axes);
  std::size_t i = 0;
  for (std::int64_t z = 0; z < shape[0]; ++z)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      for (std::int64_t x = 0; x < shape[2]; ++x, ++i) {
        const std::int64_t from_z = axes[0] ? shape[0] - 1 - z : z, from_y = axes[1] ? shape[1] - 1 - y : y,
                           from_x = axes[2] ? shape[2] - 1 - x : x;
        REQUIRE(after[i] == before[static_cast<std::size_t>((from_z * shape[1] + from_y) * shape[2] + from_x)]);
      }
}

TEST_CASE("turning by right angles and back moves voxels, nothing else", "[augmentation]") {
  const Shape3 shape{7, 7, 7};
  const std::vector<float> source = ramp(shape);
  const PaddedBox box{{0, 0, 0}, shape};
  std::vector<float> padded(1000, 0.0F);
  std::vector<std::int16_t> labels(1000, -1), turned_labels(343);
  for (std::int64_t z = 0; z < 7; ++z)
    for (std::int64_t y = 0; y < 7; ++y)
      for (std::int64_t x = 0; x < 7; ++x) {
        const auto at = static_cast<std::size_t>(((z + 1) * 10 + y + 1) * 10 + x + 1);
        padded[at] = source[static_cast<std::size_t>((z * 7 + y) * 7 + x)];
        labels[at] = static_cast<std::int16_t>(padded[at]);
      }
  std::vector<float> turned(343);
  const SpatialGrid grid{planar_matrix(M_PI / 2, 1), shape, shape};
  sample_patch(grid, box, padded, labels, turned, turned_labels);
  for (std::int64_t z = 0; z < 7; ++z)
    for (std::int64_t y = 0; y < 7; ++y)
      for (std::int64_t x = 0; x < 7; ++x) {
        const auto at = static_cast<std::size_t>((z * 7 + y) * 7 + x);
        const auto expected = static_cast<float>((z * 7 + (6 - x)) * 7 + y);
        REQUIRE(turned[at] == Approx(expected).margin(1e-3));
        REQUIRE(turned_labels[at] == static_cast<std::int16_t>(expected));
      }
}

TEST_CASE("augmented batches follow from seed and step; labels stay those of the case", "[augmentation]") {
  const auto one = noisy_case({20, 22, 24}, 2);
  const Augmentation kind = GENERATE(Augmentation::nnunet, Augmentation::nnunet_v1);
  const PatchSampler::Options options{.patch = kPatch, .batch_size = 3, .augmentation = kind};
  const PatchSampler sampler = sampler_of(one, options);
  int changed = 0;
  for (std::int64_t step = 0; step < 60; ++step) {
    const Batch batch = sampler.draw(step);
    CHECK(batch.image == sampler_of(one, options).draw(step).image);
    changed += batch.image != sampler_of(one, {.patch = kPatch, .batch_size = 3}).draw(step).image;
    CHECK(std::all_of(batch.image.begin(), batch.image.end(), [](float value) { return std::isfinite(value); }));
    const auto [lowest, highest] = std::minmax_element(batch.labels.begin(), batch.labels.end());
    CHECK((*lowest >= 0 && *highest <= 3));
  }
  CHECK(changed > 50);
}

TEST_CASE("without a turn the network's patch is the middle of the loader's", "[augmentation]") {
  const Augmentation kind = GENERATE(Augmentation::nnunet, Augmentation::nnunet_v1);
  auto one = noisy_case({60, 60, 60}, 1);
  one->class_locations = {{(30 * 60 + 31) * 60 + 29}};
  one->labels.assign(one->labels.size(), 1);
  one->labels[static_cast<std::size_t>(one->class_locations[0][0])] = 2;
  const PatchSampler sampler = sampler_of(
      one, {.patch = {10, 12, 14}, .batch_size = 1, .foreground_fraction = 1, .mirror = false, .augmentation = kind});
  const Shape3 loader = initial_patch_size({10, 12, 14});
  int found = 0;
  for (std::int64_t step = 0; step < 100; ++step) {
    const Batch batch = sampler.draw(step);
    found += batch.labels[static_cast<std::size_t>((5 * 12 + 6) * 14 + 7)] == 2;
  }
  CHECK(loader == Shape3{17, 20, 20});
  CHECK(found > 50);  // turned patches may lose the voxel
}

TEST_CASE("channels that are normalised inside the mask are 0 outside it, whatever was added", "[augmentation]") {
  const auto one = noisy_case({20, 20, 20}, 2);
  const PatchSampler sampler = sampler_of(one, {.patch = {8, 8, 8},
                                                .batch_size = 1,
                                                .mirror = false,
                                                .augmentation = Augmentation::nnunet,
                                                .masked_channels = {true, false}});
  std::int64_t zeros = 0, others = 0;
  for (std::int64_t step = 0; step < 50; ++step) {
    const Batch batch = sampler.draw(step);
    zeros += std::count(batch.image.begin(), batch.image.begin() + 512, 0.0F);
    others += std::count(batch.image.begin() + 512, batch.image.end(), 0.0F);
  }
  CHECK(zeros > 50 * 512 / 8);  // a fifth of the case, and what lies beyond it
  CHECK(others < zeros / 4);
}

TEST_CASE("annotated voxels are the centres where a dataset has an ignore label", "[augmentation]") {
  const auto one = noisy_case({40, 40, 40}, 1);
  one->labels.assign(one->labels.size(), 0);
  one->annotated_locations = {(20 * 40 + 21) * 40 + 22};
  one->labels[static_cast<std::size_t>(one->annotated_locations[0])] = 3;
  const PatchSampler sampler = sampler_of(one, {.patch = {4, 4, 4}, .foreground_fraction = 0, .mirror = false});
  for (std::int64_t step = 0; step < 5; ++step) CHECK(sampler.draw(step).labels[(2 * 4 + 2) * 4 + 2] == 3);
}
