#include <torch/torch.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "common/atomic_file.h"
#include "common/error.h"
#include "suite/train/batch_loader.h"
#include "suite/train/pseudo_dice.h"
#include "suite/train/settings.h"
#include "suite/train/training_log.h"
#include "suite/verify/record_values.h"
#include "tests/catch.h"
#include "tests/suite/train/toy.h"

namespace m3d {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("Batches come in the order of the steps and errors of the worker arrive") {
  BatchLoader loader([](std::int64_t step) { return Batch{{1, 1, 1}, step, 1, {}, {}}; }, 3, 8);
  for (std::int64_t step = 3; step < 8; ++step) CHECK(loader.next().size == step);
  BatchLoader failing(
      [](std::int64_t step) -> Batch {
        if (step == 1) throw RunError("no patch");
        return {};
      },
      0, 5);
  failing.next();
  CHECK_THROWS_WITH(failing.next(), "no patch");
}

TEST_CASE("Unread batches do not block the end") {
  const BatchLoader loader([](std::int64_t) { return Batch{}; }, 0, 1000000, GENERATE(1, 4));
  SUCCEED();
}

TEST_CASE("Several workers deliver in order, and draw no further ahead than allowed") {
  std::atomic<std::int64_t> begun = 0;
  const auto draw = [&](std::int64_t step) {
    ++begun;
    std::this_thread::sleep_for(std::chrono::microseconds(step * 7919 % 500));  // later ones may be ready first
    return Batch{{1, 1, 1}, step, 1, {}, {}};
  };
  BatchLoader loader(draw, 0, 200, 4);
  for (std::int64_t step = 0; step < 200; ++step) {
    CHECK(begun <= step + 5);
    CHECK(loader.next().size == step);
  }
}

TEST_CASE("An error arrives in its turn, after the batches before it") {
  const auto draw = [](std::int64_t step) {
    if (step == 3) throw RunError("no patch");
    if (step < 3) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Batch{{1, 1, 1}, step, 1, {}, {}};
  };
  BatchLoader loader(draw, 0, 10, 3);
  for (std::int64_t step = 0; step < 3; ++step) CHECK(loader.next().size == step);
  CHECK_THROWS_WITH(loader.next(), "no patch");
}

TEST_CASE("Label values become class indices or regions, all others background") {
  const Batch batch{{1, 1, 5}, 1, 1, std::vector<float>(5), {0, 7, 3, 9, 4}};
  const TargetSpec softmax{{{"seven", {7}}, {"three or four", {3, 4}}}, false};
  CHECK(softmax.channels() == 3);
  CHECK(torch::equal(target_tensor(batch, softmax).flatten(), torch::tensor({0, 1, 2, 0, 2}, torch::kInt64)));
  const TargetSpec regions{{{"all", {3, 4, 7}}, {"core", {7}}}, true};
  CHECK(regions.channels() == 2);
  CHECK(torch::equal(target_tensor(batch, regions).reshape({2, 5}),
                     torch::tensor({0.f, 1.f, 1.f, 0.f, 1.f, 0.f, 1.f, 0.f, 0.f, 0.f}).reshape({2, 5})));
}

TEST_CASE("Voxels to ignore have an index of their own, or a channel beside the regions") {
  const Batch batch{{1, 1, 4}, 1, 1, std::vector<float>(4), {0, 2, 9, 1}};
  const TargetSpec softmax{{{"one", {1}}, {"two", {2}}}, false, 9};
  CHECK(softmax.channels() == 3);
  CHECK(softmax.ignored_index() == 3);
  CHECK(torch::equal(target_tensor(batch, softmax).flatten(), torch::tensor({0, 2, 3, 1}, torch::kInt64)));
  const TargetSpec regions{{{"all", {1, 2}}}, true, 9};
  CHECK(regions.channels() == 1);
  CHECK(regions.ignored_index() == 1);
  CHECK(torch::equal(target_tensor(batch, regions).reshape({2, 4}),
                     torch::tensor({0.f, 1.f, 0.f, 1.f, 0.f, 0.f, 1.f, 0.f}).reshape({2, 4})));
}

TEST_CASE("Keeping the first classes drops groups without any") {
  Dataset dataset;
  dataset.classes = {{"a", {1}}, {"b", {2}}, {"c", {3}}};
  dataset.groups = {{"first", {"a", "c"}}, {"last", {"c"}}};
  const Dataset cut = with_first_classes(dataset, 2);
  CHECK(cut.classes.size() == 2);
  CHECK(cut.groups == std::map<std::string, std::vector<std::string>>{{"first", {"a"}}});
  CHECK(with_first_classes(dataset, 0).classes.size() == 3);
}

TEST_CASE("Pseudo-Dice pools all patches and leaves absent classes out") {
  const TargetSpec spec{{{"a", {1}}, {"b", {2}}}, false};
  PseudoDice dice(spec);
  CHECK(!dice.mean());
  const torch::Tensor target = torch::tensor({1, 1, 0, 0}, torch::kInt64).reshape({1, 1, 1, 4});
  const torch::Tensor chosen = torch::tensor({1, 0, 0, 0}, torch::kInt64).reshape({1, 1, 1, 4});
  dice.add(torch::one_hot(chosen, 3).permute({0, 4, 1, 2, 3}).to(torch::kFloat32), target);
  CHECK(dice.mean().value() == Approx(2.0 / 3.0));
}

std::vector<std::optional<double>> recorded_dice(const Json& counts) {
  std::vector<std::optional<double>> dice;
  for (std::size_t i = 0; i < counts.at("tp").size(); ++i) {
    const double twice = 2 * counts.at("tp")[i].get<double>();
    const double sizes = twice + counts.at("fp")[i].get<double>() + counts.at("fn")[i].get<double>();
    dice.push_back(sizes > 0 ? std::optional(twice / sizes) : std::nullopt);
  }
  return dice;
}

std::vector<std::optional<double>> pseudo_dice_of(const Json& item, const TargetSpec& spec) {
  const auto shape = item.at("shape").get<std::vector<std::int64_t>>();
  Batch batch{{shape[2], shape[3], shape[4]}, shape[0], 1, {}, {}};
  const torch::Tensor labels = named_classes(item.at("target"), {shape[0], shape[2], shape[3], shape[4]},
                                             item.at("target_K").get<std::int64_t>())
                                   .to(torch::kInt16);
  batch.labels.assign(labels.const_data_ptr<std::int16_t>(), labels.const_data_ptr<std::int16_t>() + labels.numel());
  PseudoDice dice(spec);
  dice.add(named_tensor(item.at("logits"), shape), target_tensor(batch, spec));
  return dice.by_class();
}

TEST_CASE("Pseudo-Dice leaves ignored voxels out as nnU-Net does") {
  const Json record =
      Json::parse(read_file(std::filesystem::path(M3D_SOURCE_DIR) / "tests/records/pipeline/loss_ignored.json"));
  for (const Json& item : record.at("cases")) {
    TargetSpec spec{{}, true, item.at("ignore_label").get<int>()};
    for (const Json& region : item.at("regions")) spec.classes.push_back({"", region.get<std::vector<int>>()});
    CHECK((pseudo_dice_of(item, spec) == recorded_dice(item.at("pseudo_dice"))));
  }
  for (const Json& item : record.at("pseudo_dice_softmax")) {
    TargetSpec spec{{}, false, item.at("ignore_label").get<int>()};
    for (int label = 1; label < item.at("shape")[1].get<int>(); ++label) spec.classes.push_back({"", {label}});
    CHECK((pseudo_dice_of(item, spec) == recorded_dice(item)));
  }
}

TEST_CASE("The log reads back its seconds for finished epochs only") {
  const toy::Folder folder("log");
  const auto file = folder.path / "log.csv";
  write_log(file, {{1, 4, 0.1, {}, 0.01, 0.5, 0.5, 2.25}, {2, 8, 0.2, 0.3, 0.01, {}, {}, 3.5}});
  CHECK_THAT(read_file(file), Contains("\n1,4,0.1,,0.01,0.5,0.5,2.25\n2,8,0.2,0.3,0.01,,,3.5\n"));
  std::vector<LogRow> rows{{1, 4, 0.1, {}, 0.01, 0.5, 0.5, {}}};
  recover_seconds(file, rows);
  CHECK(rows[0].seconds == 2.25);
  const LogRow copy = log_row_from_json(Json::parse(to_json(rows[0]).dump()));
  CHECK(copy.train_loss == 0.1);
  CHECK(!copy.validation_loss);
}

TEST_CASE("Settings are read once, contradictions named") {
  const RunSettings settings = read_settings(Json::parse(R"({"data": {"patch": [8, 16, 16], "max_cases": null},
    "train": {"epochs": 7, "gradient_clip": 12}, "infer": {"overlap": 0.25}})"));
  CHECK(settings.data.patch == std::vector<std::int64_t>{8, 16, 16});
  CHECK(settings.data.max_cases == 0);
  CHECK(settings.train.epochs == 7);
  CHECK(settings.infer.overlap == 0.25);
  CHECK_THROWS_WITH(read_settings(Json::parse(R"({"data": {"patch": [8]}})")), Contains("data.patch"));
  CHECK_THROWS_WITH(read_settings(Json::parse(R"({"infer": {"checkpoint": "best"}})")),
                    Contains("validation_iterations"));
}

}  // namespace
}  // namespace m3d
