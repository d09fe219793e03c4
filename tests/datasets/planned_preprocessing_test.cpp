#include "datasets/preprocessing/planned_preprocessing.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "datasets/planning/dataset_fingerprint.h"
#include "datasets/planning/dataset_plan.h"
#include "datasets/preprocessing/preprocess_dataset.h"
#include "datasets/preprocessing/preprocessed_cases.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;

namespace {

/// Plans for two channels and one class at 1 mm, 3D and 2D, made from a fingerprint of cases with the given spacing.
Plans plans_for(const std::vector<std::string>& channels, const Spacing3& spacing, const std::string& reader) {
  PlanningFacts facts{"Dataset502_Test", channels, 2, 5, reader};
  Fingerprint fingerprint;
  fingerprint.channels.resize(channels.size());
  fingerprint.cropped_shapes.assign(5, {20, 24, 28});
  fingerprint.spacings_mm.assign(5, spacing);
  return plan_experiment(facts, fingerprint, Planner::plain);
}

Dataset one_class(const std::vector<std::string>& channels) {
  Dataset dataset;
  dataset.channel_names = channels;
  dataset.classes = {{"a", {1}}};
  return dataset;
}

/// A case whose voxel [z, y, x] is 1 + index, labelled 1 in one corner block.
LoadedCase counting_case(const Shape3& shape, const Spacing3& spacing) {
  LoadedCase loaded{"x", {make_image<float>(shape, [](std::int64_t i) { return 1.0 + static_cast<double>(i); })}, {}};
  loaded.labels = make_image<std::int16_t>(shape, [](std::int64_t) { return 0; });
  loaded.channels[0].geometry.spacing_mm = loaded.labels.geometry.spacing_mm = spacing;
  for (std::int64_t z = 0; z < 2; ++z)
    for (std::int64_t y = 0; y < 3; ++y)
      for (std::int64_t x = 0; x < 4; ++x) loaded.labels.at(z, y, x) = 1;
  return loaded;
}

Geometry with_direction(const std::array<double, 9>& direction) {
  Geometry geometry;
  geometry.shape = {2, 3, 4};
  geometry.direction = direction;
  return geometry;
}

std::vector<int> numbered(const Shape3& shape) {
  std::vector<int> voxels(static_cast<std::size_t>(voxel_count(shape)));
  for (std::size_t i = 0; i < voxels.size(); ++i) voxels[i] = static_cast<int>(i);
  return voxels;
}

}  // namespace

TEST_CASE("all 48 orders and flips of the axes lead back") {
  const Shape3 shape{2, 3, 4};
  const auto voxels = numbered(shape);
  AxisOrder order{0, 1, 2};
  std::set<std::vector<int>> different;
  do {
    for (int flips = 0; flips < 8; ++flips) {
      const AxisMap map{order, {(flips & 1) != 0, (flips & 2) != 0, (flips & 4) != 0}};
      const auto there = mapped(std::span<const int>(voxels), shape, map);
      CHECK(mapped(std::span<const int>(there), permuted(shape, order), map.inverse()) == voxels);
      different.insert(there);
    }
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(different.size() == 48);
}

TEST_CASE("the canonical orientation is nibabel's") {
  // ITK's identity is LPS: x and y run the other way than in RAS.
  const AxisMap lps = towards_ras(with_direction({1, 0, 0, 0, 1, 0, 0, 0, 1}));
  CHECK(lps.order == AxisOrder{0, 1, 2});
  CHECK(lps.flip == std::array<bool, 3>{false, true, true});
  CHECK(towards_ras(with_direction({-1, 0, 0, 0, -1, 0, 0, 0, 1})).is_identity());
  // A sagittal stack: the file's x runs to the front, y upwards, z to the right.
  const AxisMap sagittal = towards_ras(with_direction({0, 0, -1, -1, 0, 0, 0, 1, 0}));
  CHECK(sagittal.order == AxisOrder{1, 2, 0});  // D is the file's H (y), H its W (x), W its D (z)
  CHECK(sagittal.flip == std::array<bool, 3>{false, false, false});
  CHECK_THAT(error_of([] { reader_axes("MyIO", {}, "plans.json"); }), Contains("MyIO"));
}

TEST_CASE("a planned case follows the plan's axes and spacing, and says how to get back") {
  const LoadedCase loaded = counting_case({6, 8, 10}, {1, 1, 4});
  const Plans plans = plans_for({"nonorm"}, {1, 1, 2}, "SimpleITKIO");
  CHECK(plans.transpose() == AxisOrder{2, 0, 1});
  const PreparedCase prepared = prepare_case(one_class({"nonorm"}), plans, plans.configuration("3d_fullres"), loaded);
  CHECK(prepared.shape == Shape3{20, 6, 8});
  REQUIRE(prepared.planned);
  CHECK(prepared.planned->cropped_shape == Shape3{10, 6, 8});
  CHECK(prepared.planned->cropped_spacing_mm == Spacing3{4, 1, 1});
  CHECK(prepared.planned->spacing_mm == Spacing3{2, 1, 1});
  CHECK(prepared.original.shape == Shape3{6, 8, 10});
  // 4 mm against 1 mm: slices are repeated, not interpolated.
  CHECK(prepared.image[0] == 1);
  CHECK(prepared.image[48] == 1);
  CHECK(prepared.image[2 * 48] == 2);
  CHECK(std::count(prepared.labels.begin(), prepared.labels.end(), 1) == 2 * 2 * 3 * 4);
  CHECK(prepared.class_locations[0].size() == 48);
}

TEST_CASE("a 2D configuration keeps the spacing between slices") {
  const LoadedCase loaded = counting_case({6, 8, 10}, {3, 1, 1});
  const Plans plans = plans_for({"nonorm"}, {2.5, 0.5, 0.5}, "SimpleITKIO");
  const Dataset dataset = one_class({"nonorm"});
  CHECK(prepare_case(dataset, plans, plans.configuration("2d"), loaded).shape == Shape3{6, 16, 20});
  CHECK(prepare_case(dataset, plans, plans.configuration("3d_fullres"), loaded).shape == Shape3{7, 16, 20});
}

TEST_CASE("a plan for other channels, or that leaves no voxel, is refused") {
  const LoadedCase loaded = counting_case({6, 8, 10}, {1, 1, 1});
  const Dataset dataset = one_class({"nonorm"});
  const Plans two = plans_for({"CT", "CT"}, {1, 1, 1}, "SimpleITKIO");
  CHECK_THAT(error_of([&] { prepare_case(dataset, two, two.configuration("3d_fullres"), loaded); }),
             Contains("2 channels"));
  const Plans coarse = plans_for({"nonorm"}, {100, 100, 100}, "SimpleITKIO");
  CHECK_THAT(error_of([&] { prepare_case(dataset, coarse, coarse.configuration("3d_fullres"), loaded); }),
             Contains("no voxel left"));
}

TEST_CASE("ignored voxels are kept, and annotated ones are located") {
  LoadedCase loaded = counting_case({4, 4, 4}, {1, 1, 1});
  loaded.labels.at(3, 3, 3) = 2;
  Dataset dataset = one_class({"nonorm"});
  dataset.ignore_label = 2;
  const Plans plans = plans_for({"nonorm"}, {1, 1, 1}, "SimpleITKIO");
  const PreparedCase prepared = prepare_case(dataset, plans, plans.configuration("3d_fullres"), loaded);
  CHECK(prepared.labels.back() == 2);
  CHECK(prepared.annotated_locations.size() == 63);
}

TEST_CASE("the fingerprint of a dataset is nnU-Net's; written, it reads back") {
  const TemporaryFolder root;
  const Dataset dataset = open_dataset(write_small_dataset(root.path).string(), {});
  const Fingerprint fingerprint = extract_fingerprint(dataset);
  CHECK(fingerprint.spacings_mm.size() == 6);
  CHECK(fingerprint.cropped_shapes[0] == Shape3{4, 5, 6});
  CHECK(fingerprint.channels[0].minimum == -49);
  CHECK(fingerprint.channels[0].maximum == 69);
  CHECK(fingerprint.channels[0].mean == Approx(10).margin(0.05));
  write_atomically(root.path / "fingerprint.json", fingerprint_json(fingerprint).dump());
  CHECK(fingerprint_json(read_fingerprint(root.path / "fingerprint.json")) == fingerprint_json(fingerprint));
  write_atomically(root.path / "other.json", std::string_view("{\"spacings\": 3}"));
  CHECK_THAT(error_of([&] { read_fingerprint(root.path / "other.json"); }), Contains("other.json"));
}

TEST_CASE("plans that lie beside preprocessed cases are used, others are made and kept there") {
  const TemporaryFolder root;
  const Dataset dataset = open_dataset(write_small_dataset(root.path).string(), {});
  const auto folder = root.path / "preprocessed";
  const Plans made = dataset_plans(dataset, Planner::plain, folder);
  CHECK(std::filesystem::exists(folder / "dataset_fingerprint.json"));
  Json json = made.json();
  json["configurations"]["3d_fullres"]["batch_size"] = 7;
  write_atomically(folder / "nnUNetPlans.json", json.dump());
  CHECK(dataset_plans(dataset, Planner::plain, folder).configuration("3d_fullres").batch_size == 7);
  CHECK(plans_of_headers(dataset, Planner::plain).configuration("3d_fullres").patch_size ==
        made.configuration("3d_fullres").patch_size);
}

TEST_CASE("a dataset is prepared case by case; done cases are left out, bad ones reported") {
  const TemporaryFolder root;
  const Dataset dataset = open_dataset(write_small_dataset(root.path).string(), {});
  const Plans plans = plans_of_headers(dataset, Planner::plain);
  write_labels(dataset.training[2].labels, make_image<std::int16_t>({4, 5, 6}, [](std::int64_t) { return 9; }));
  std::mutex mutex;
  std::set<std::string> taken;
  std::int64_t last = 0;
  PreprocessingJob job;
  job.is_done = [](const std::string& id) { return id == "b"; };
  job.take = [&](const PreparedCase& prepared) {
    const std::lock_guard lock(mutex);
    taken.insert(prepared.id);
  };
  job.progress = [&](std::int64_t done, std::int64_t total) {
    CHECK(done == ++last);
    CHECK(total == 6);
  };
  const auto failures = preprocess_dataset(dataset, plans, plans.configuration("3d_fullres"), job);
  CHECK(taken == std::set<std::string>{"a", "d", "e", "f"});
  REQUIRE(failures.size() == 1);
  CHECK_THAT(failures[0], Contains("c.nii.gz"));
  CHECK(last == 6);
}

TEST_CASE("cases of another plan are refused, whatever in it decides their voxels, and made anew on request") {
  const TemporaryFolder root;
  const Dataset dataset = open_dataset(write_small_dataset(root.path).string(), {});
  const Plans plans = plans_of_headers(dataset, Planner::plain);
  const PlanConfiguration configuration = plans.configuration("3d_fullres");
  const auto folder = root.path / "preprocessed";
  REQUIRE(preprocess_cases(dataset, plans, configuration, folder).empty());
  CHECK(preprocessed_cases(plans, configuration, folder).ids().size() == 6);

  PlanConfiguration other = configuration;
  other.batch_size = 7;
  other.patch_size = {4, 4, 4};
  CHECK(preprocessed_cases(plans, other, folder).ids().size() == 6);
  CHECK(preprocess_cases(dataset, plans, other, folder).empty());

  const std::function<void(PlanConfiguration&)> changes[] = {
      [](auto& one) { one.spacing[1] += 0.5; },
      [](auto& one) { one.normalisations[0] = Normalisation::none; },
      [](auto& one) { one.use_mask_for_norm[0] = !one.use_mask_for_norm[0]; },
      [](auto& one) { one.image.order = 1; },
      [](auto& one) { one.image.force_separate_z = true; },
      [](auto& one) { one.labels.order_z = 1; }};
  for (const auto& change : changes) {
    PlanConfiguration changed = configuration;
    change(changed);
    CHECK_THAT(error_of([&] { preprocessed_cases(plans, changed, folder); }), Contains("another plan"));
    CHECK_THAT(error_of([&] { preprocess_cases(dataset, plans, changed, folder); }), Contains("--rebuild"));
  }
  for (const auto& [key, value] : {std::pair{"transpose_forward", Json({1, 0, 2})},
                                   std::pair{"image_reader_writer", Json("NibabelIOWithReorient")},
                                   std::pair{"foreground_intensity_properties_per_channel", Json()}}) {
    INFO(key);
    Json json = plans.json();
    if (value.is_null())
      json[key]["0"]["mean"] = 1234.5;
    else
      json[key] = value;
    if (json.contains("transpose_backward")) json["transpose_backward"] = json["transpose_forward"];
    const Plans changed(json, "changed");
    CHECK_THAT(error_of([&] { preprocessed_cases(changed, configuration, folder); }), Contains("another plan"));
  }

  other.spacing[1] *= 0.5;
  CHECK(preprocess_cases(dataset, plans, other, folder, {.rebuild = true}).empty());
  CHECK(preprocessed_cases(plans, other, folder).load("a", {{1}}).shape[1] == 10);
  CHECK_THAT(error_of([&] { preprocessed_cases(plans, configuration, folder); }), Contains("another plan"));
}
