#include "datasets/sampling/patch_sampler.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "datasets/preprocessing/preprocessing.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

/// Voxel i of channel c holds c * 1000 + i + 1, so that a patch tells where it was cut; one voxel is foreground.
std::shared_ptr<PreparedCase> numbered_case(const Shape3& shape, std::int64_t channels, std::int64_t foreground) {
  auto one = std::make_shared<PreparedCase>();
  one->shape = shape;
  one->channels = channels;
  const std::int64_t voxels = voxel_count(shape);
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t i = 0; i < voxels; ++i) one->image.push_back(static_cast<float>(c * 1000 + i + 1));
  one->labels.assign(static_cast<std::size_t>(voxels), -1);
  one->class_locations.resize(2);
  if (foreground >= 0) {
    one->labels[static_cast<std::size_t>(foreground)] = 2;
    one->class_locations[1] = {foreground};
  }
  return one;
}

PatchSampler sampler_of(std::shared_ptr<const PreparedCase> one, const Shape3& patch, bool mirror = false,
                        std::int64_t batch_size = 2, std::uint64_t seed = 7) {
  return {std::vector{std::shared_ptr<const PreparedCase>(std::move(one))},
          {.patch = patch, .batch_size = batch_size, .mirror = mirror},
          seed};
}

bool has_foreground(const Batch& batch, std::int64_t sample) {
  const auto voxels = voxel_count(batch.patch);
  const auto begin = batch.labels.begin() + sample * voxels;
  return std::find(begin, begin + voxels, 2) != begin + voxels;
}

}  // namespace

TEST_CASE("batches follow from seed and step alone") {
  const auto one = numbered_case({6, 7, 8}, 2, 100);
  const PatchSampler sampler = sampler_of(one, {3, 4, 5}, true);
  const Batch first = sampler.draw(5);
  sampler.draw(6);
  CHECK(sampler.draw(5).image == first.image);
  CHECK(sampler_of(one, {3, 4, 5}, true).draw(5).image == first.image);
  CHECK(sampler.draw(6).image != first.image);
  CHECK(sampler_of(one, {3, 4, 5}, true, 2, 8).draw(5).image != first.image);
}

TEST_CASE("a patch is a window of the case; labels never hold -1") {
  const PatchSampler sampler = sampler_of(numbered_case({6, 7, 8}, 2, 100), {3, 4, 5});
  for (std::int64_t step = 0; step < 50; ++step) {
    const Batch batch = sampler.draw(step);
    REQUIRE(batch.image.size() == 2 * 2 * 60);
    const auto corner = static_cast<std::int64_t>(batch.image[0]);  // sample 0 is not forced: it lies inside
    for (std::int64_t c = 0; c < 2; ++c)
      for (std::int64_t z = 0; z < 3; ++z)
        for (std::int64_t y = 0; y < 4; ++y)
          for (std::int64_t x = 0; x < 5; ++x)
            REQUIRE(batch.image[static_cast<std::size_t>(((c * 3 + z) * 4 + y) * 5 + x)] ==
                    static_cast<float>(c * 1000 + corner + (z * 7 + y) * 8 + x));
    CHECK(*std::min_element(batch.labels.begin(), batch.labels.end()) == 0);
  }
}

TEST_CASE("the last third of a batch is forced to hold foreground, at the patch's centre where it can be") {
  const std::int64_t foreground = (3 * 7 + 3) * 8 + 4;
  for (const auto& [batch_size, first_forced] : {std::pair(2, 1), std::pair(3, 2), std::pair(4, 3), std::pair(5, 3)}) {
    const PatchSampler sampler = sampler_of(numbered_case({6, 7, 8}, 1, foreground), {2, 2, 2}, false, batch_size);
    std::int64_t unforced_hits = 0;
    for (std::int64_t step = 0; step < 40; ++step) {
      const Batch batch = sampler.draw(step);
      for (std::int64_t j = first_forced; j < batch_size; ++j) {
        REQUIRE(has_foreground(batch, j));
        CHECK(batch.labels[static_cast<std::size_t>(j * 8 + 7)] == 2);  // index patch / 2 on every axis
      }
      for (std::int64_t j = 0; j < first_forced; ++j) unforced_hits += has_foreground(batch, j);
    }
    CHECK(unforced_hits < 40 * first_forced);
  }
}

TEST_CASE("a patch larger than the case holds it whole, with zeros around") {
  for (const bool mirror : {false, true}) {
    const PatchSampler sampler = sampler_of(numbered_case({3, 4, 2}, 1, 5), {6, 5, 5}, mirror);
    for (std::int64_t step = 0; step < 20; ++step) {
      const Batch batch = sampler.draw(step);
      for (std::int64_t j = 0; j < 2; ++j) {
        std::multiset<float> seen(batch.image.begin() + j * 150, batch.image.begin() + (j + 1) * 150);
        CHECK(seen.count(0) == 150 - 24);
        CHECK(*seen.rbegin() == 24);
        CHECK(has_foreground(batch, j));
      }
    }
  }
}

TEST_CASE("a forced patch may reach over the case's end") {
  const std::int64_t last = voxel_count({6, 6, 6}) - 1;
  const Batch batch = sampler_of(numbered_case({6, 6, 6}, 1, last), {4, 4, 4}).draw(0);
  const auto sample = batch.image.begin() + 64;
  CHECK(sample[(2 * 4 + 2) * 4 + 2] == static_cast<float>(last + 1));
  CHECK(std::count(sample, sample + 64, 0.0F) == 64 - 27);
}

TEST_CASE("mirroring turns every axis in half of the samples, image and labels alike") {
  const auto one = numbered_case({4, 4, 4}, 1, 0);
  const PatchSampler sampler = sampler_of(one, {4, 4, 4}, true, 1);
  std::array<int, 3> turned{};
  for (std::int64_t step = 0; step < 400; ++step) {
    const Batch batch = sampler.draw(step);
    const auto at = std::find(batch.image.begin(), batch.image.end(), 1.0F) - batch.image.begin();
    CHECK(batch.labels[static_cast<std::size_t>(at)] == 2);
    turned[0] += at / 16 == 3, turned[1] += at / 4 % 4 == 3, turned[2] += at % 4 == 3;
    CHECK(std::set<float>(batch.image.begin(), batch.image.end()).size() == 64);
  }
  for (const int count : turned) CHECK((count > 150 && count < 250));
}

TEST_CASE("a case without foreground gives random patches") {
  const Batch batch = sampler_of(numbered_case({6, 6, 6}, 1, -1), {4, 4, 4}, false, 4).draw(0);
  CHECK(std::count(batch.labels.begin(), batch.labels.end(), 0) == 4 * 64);
  CHECK(std::count(batch.image.begin(), batch.image.end(), 0.0F) == 0);
}

TEST_CASE("drawing a batch takes milliseconds") {
  const auto one = numbered_case({48, 120, 110}, 4, 300000);
  const PatchSampler sampler = sampler_of(one, {48, 96, 96}, true);
  double best = 1;
  for (std::int64_t step = 0; step < 5; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(sampler.draw(step).image.size() == 2 * 4 * 48 * 96 * 96);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  INFO(best * 1000 << " ms");
  CHECK(best < 0.1);  // some 5 ms on an idle core
}
