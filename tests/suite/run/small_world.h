#pragma once
// A tiny raw dataset on the disk, a tiny registered architecture and runs on them.
#include <unistd.h>

#include <filesystem>

#include "ablations/run_config.h"
#include "architectures/blocks/layers.h"
#include "architectures/registry.h"
#include "common/atomic_file.h"
#include "common/random.h"
#include "datasets/images/image.h"
#include "suite/run/harness.h"

namespace m3d::small_world {

namespace fs = std::filesystem;

class OneConvolution : public Network {
 public:
  OneConvolution(const NetworkInput& input, std::uint64_t seed) {
    torch::set_num_threads(1);  // teams of threads are not worth it here
    weight_ = register_parameter("weight", new_parameter({input.classes, input.channels, 3, 3, 3}));
    bias_ = register_parameter("bias", new_parameter({input.classes}));
    const ParameterRandom random(seed);
    random.uniform(weight_, "weight", -0.2, 0.2);
    random.uniform(bias_, "bias", -0.2, 0.2);
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override {
    return {torch::conv3d(image, weight_, bias_, 1, 1)};
  }
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override { return forward(image); }

 private:
  torch::Tensor weight_, bias_;
};

inline void register_toy_architecture() {
  static const bool once = [] {
    Architecture toy;
    toy.name = "toy";
    toy.title = "Toy";
    toy.family = "control";
    toy.options = OptionSchema("option of toy", {});
    toy.divisors = [](const Json&) { return std::array<std::int64_t, 3>{4, 4, 4}; };
    toy.outputs = [](const Json&) { return 1; };
    toy.build = [](const NetworkInput& input, const Json&, std::uint64_t seed) {
      return std::make_shared<OneConvolution>(input, seed);
    };
    toy.scan_orders = [](const Json&, const std::array<std::int64_t, 3>& grid, std::uint64_t) {
      return std::vector<ScanOrderUse>{{"forward", grid, {0, 1, 2}}};
    };
    register_architecture(toy);
    return true;
  }();
  static_cast<void>(once);
}

/// Bright balls of label 1 on a noisy background, label 2 nowhere; ten cases of 10 x 12 x 14 voxels, every other one
/// with slices of this spacing.
inline void write_dataset(const fs::path& folder, double other_spacing_mm) {
  for (int i = 0; i < 10; ++i) {
    RandomStream random(3, "case", static_cast<std::uint64_t>(i));
    ImageF image;
    image.geometry.shape = {10, 12, 14};
    if (i % 2 == 1) image.geometry.spacing_mm[0] = other_spacing_mm;
    LabelImage labels;
    labels.geometry = image.geometry;
    const double z0 = random.uniform(3, 7), y0 = random.uniform(3, 9), x0 = random.uniform(3, 11);
    for (int z = 0; z < 10; ++z)
      for (int y = 0; y < 12; ++y)
        for (int x = 0; x < 14; ++x) {
          const bool inside = (z - z0) * (z - z0) + (y - y0) * (y - y0) + (x - x0) * (x - x0) < 9;
          labels.voxels.push_back(inside ? 1 : 0);
          image.voxels.push_back(static_cast<float>(1 + (inside ? 4 : 0) + 0.1 * random.normal()));
        }
    const std::string id = "case_" + std::to_string(i);
    write_image(folder / "imagesTr" / (id + "_0000.nii.gz"), image);
    write_labels(folder / "labelsTr" / (id + ".nii.gz"), labels);
  }
  write_atomically(folder / "dataset.json", R"({"channel_names": {"0": "T1"}, "labels": {"background": 0, "ball": 1,
    "nothing": 2}, "numTraining": 10, "file_ending": ".nii.gz"})");
}

/// The dataset and an output folder, removed with this object.
class World {
 public:
  explicit World(double other_spacing_mm = 1)
      : root(fs::temp_directory_path() / ("m3d-run-" + std::to_string(getpid()))) {
    fs::remove_all(root);
    register_toy_architecture();
    write_dataset(root / "raw" / "Dataset990_Balls", other_spacing_mm);
  }
  ~World() { fs::remove_all(root); }

  HarnessOptions options() const { return {root / "out", root / "raw", false, "m3d-bench --suite test"}; }

  const fs::path root;
};

inline RunConfig config(std::uint64_t seed, const Json& settings = Json::object()) {
  Json given = {{"data.patch", {7, 8, 8}},
                {"train.optimiser", "adamw"},
                {"train.learning_rate", 0.1},
                {"train.epochs", 2},
                {"train.iterations_per_epoch", 6},
                {"train.validation_iterations", 1},
                {"train.checkpoint_every_steps", 4},
                {"profile.warmup", 0},
                {"profile.repeats", 1}};
  given.update(settings);
  RunConfig result;
  result.suite = "test";
  result.dataset = "Dataset990_Balls";
  result.architecture = "toy";
  result.name = "toy-seed" + std::to_string(seed);
  result.axes = Json::object();
  result.model = Json::object();
  result.settings = nest_settings(settings_schema().resolve(given, [](const std::string&) { return "test"; }));
  result.seed = seed;
  return result;
}

inline SuiteOutcome execute(const std::vector<RunConfig>& configs, const HarnessOptions& options) {
  std::vector<PlannedRun> runs = plan_runs(configs, options, false);
  return execute_runs(runs, options);
}

inline Json json_in(const fs::path& file) { return Json::parse(read_file(file)); }

}  // namespace m3d::small_world
