#include "tests/reports/synthetic_runs.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/atomic_file.h"
#include "common/hash.h"
#include "common/random.h"
#include "datasets/images/image.h"

namespace m3d::testing {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string> kClasses = {"liver", "vessel", "left_twin", "right_twin"};

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

Json metrics_json(double dice) {
  return {{"dice", rounded(dice)}, {"hd95_mm", rounded(40 * (1 - dice))}, {"nsd", rounded(std::min(1.0, dice + 0.05))}};
}

/// Dice of class `c` in case `k`, the same for equal seeds and architectures.
double case_dice(const SyntheticRun& run, int k, std::size_t c) {
  const RandomStream stream(run.seed, run.axes.dump() + run.architecture + kClasses[c], static_cast<std::uint64_t>(k));
  return std::clamp(run.dice - 0.06 * static_cast<double>(c) - 0.01 * k + 0.02 * RandomStream(stream).normal(), 0.0,
                    1.0);
}

Json metrics_of(const SyntheticRun& run) {
  Json per_case = Json::array(), per_class = Json::object();
  double sum = 0;
  for (std::size_t c = 0; c < kClasses.size(); ++c) {
    double class_sum = 0;
    for (int k = 0; k < run.cases; ++k) {
      const double dice = case_dice(run, k, c);
      class_sum += dice;
      Json entry = {{"case", "case_" + std::to_string(k)}, {"class", kClasses[c]}};
      entry.update(metrics_json(dice));
      per_case.push_back(entry);
    }
    per_class[kClasses[c]] = metrics_json(class_sum / run.cases);
    sum += class_sum / run.cases;
  }
  const double mean = sum / static_cast<double>(kClasses.size());
  return {{"mean_dice", rounded(mean)},
          {"mean_hd95_mm", rounded(40 * (1 - mean))},
          {"mean_nsd", rounded(mean + 0.05)},
          {"groups", {{"anatomy", metrics_json(run.dice)}, {"long_range", metrics_json(run.dice - 0.1)}}},
          {"per_class", per_class},
          {"per_case", per_case},
          {"missed", {{"liver", 0}, {"vessel", run.dice < 0.84 ? 2 : 0}}},
          {"mean_hd95_mm_penalised", rounded(45 * (1 - mean))}};
}

Json profile_of(const SyntheticRun& run) {
  const Json macs = {{"total", run.macs},
                     {"convolution", run.macs * 0.7},
                     {"linear", run.macs * 0.2},
                     {"attention", 0},
                     {"scan", run.macs * 0.1}};
  const Json macs_at_128 = {{"total", run.macs * 16},
                            {"convolution", run.macs * 11.2},
                            {"linear", run.macs * 3.2},
                            {"attention", 0},
                            {"scan", run.macs * 1.6}};
  Json profile = {{"parameters", run.parameters}, {"macs", macs},
                  {"macs_at_128", macs_at_128},   {"scan_state_updates", run.macs / 30},
                  {"patch", run.patch},           {"predicted_tensor_bytes", 700e6 + run.macs / 10}};
  for (const char* key : {"peak_tensor_bytes", "peak_memory_bytes", "train_seconds", "train_patches_per_second",
                          "inference_voxels_per_second", "device"})
    profile[key] = nullptr;
  if (run.status != "ok") return profile;
  profile["peak_tensor_bytes"] = 710e6 + run.macs / 10;
  if (run.process_memory) profile["peak_memory_bytes"] = 900e6 + run.macs / 10;
  profile["train_seconds"] = 61.5;
  profile["train_patches_per_second"] = rounded(10e9 / run.macs);
  profile["inference_voxels_per_second"] = 1.5e15 / run.macs;
  profile["device"] = "cpu";
  return profile;
}

std::string log_text(const SyntheticRun& run) {
  std::string text = "step,epoch,train_loss,validation_loss,learning_rate,pseudo_dice,seconds\n";
  for (int epoch = 1; epoch <= 12; ++epoch) {
    const double progress = 1 - std::exp(-0.3 * epoch);
    const std::string validation =
        epoch % 2 == 0 ? std::to_string(rounded(1.5 - (0.9 + run.dice) * progress * 0.7)) : "";
    const std::string dice = epoch % 2 == 0 ? std::to_string(rounded(run.dice * progress)) : "";
    text += std::to_string(epoch * 10) + "," + std::to_string(epoch) + "," +
            std::to_string(rounded(1.4 - (1 + run.dice) * progress * 0.7)) + "," + validation + ",0.001," + dice + "," +
            std::to_string(epoch * 5) + "\n";
  }
  return text;
}

Json scan_orders_of(const SyntheticRun& run) {
  const std::array<std::int64_t, 3> grid = {4, 6, 8};
  std::vector<std::int64_t> forward(4 * 6 * 8);
  std::iota(forward.begin(), forward.end(), 0);
  Json orders = Json::array({{{"name", "forward"}, {"grid", grid}, {"permutation", forward}}});
  const std::string scan = run.axes.value("scan", "");
  std::vector<std::int64_t> other = forward;
  if (scan == "dual") std::reverse(other.begin(), other.end());
  if (scan == "dual_random")
    for (std::size_t i = other.size(); i-- > 1;)
      std::swap(other[i],
                other[static_cast<std::size_t>(RandomStream(7, "order", i).integer(0, static_cast<std::int64_t>(i)))]);
  if (scan == "tri")
    std::sort(other.begin(), other.end(),
              [](auto a, auto b) { return std::pair(a % 8, a / 8) < std::pair(b % 8, b / 8); });
  if (other != forward)
    orders.push_back({{"name", scan == "dual"  ? "backward"
                               : scan == "tri" ? "whd"
                                               : "random"},
                      {"grid", grid},
                      {"permutation", other}});
  return orders;
}

/// Class 1: a ball; class 2: a small one beside it; both displaced by `shift` voxels along W.
LabelImage blobs(int number, int shift) {
  LabelImage image;
  image.geometry.shape = {16, 24, 28};
  image.geometry.spacing_mm = {2, 1, 1};
  image.voxels.assign(16 * 24 * 28, 0);
  for (std::int64_t z = 0; z < 16; ++z)
    for (std::int64_t y = 0; y < 24; ++y)
      for (std::int64_t x = 0; x < 28; ++x) {
        const double dz = 2.0 * static_cast<double>(z - 8), dy = static_cast<double>(y - 12 - number % 3),
                     dx = static_cast<double>(x - 11 - shift);
        if (dz * dz + dy * dy + dx * dx < 49) image.at(z, y, x) = 1;
        const double ex = static_cast<double>(x - 21 - shift);
        if (dz * dz + dy * dy + ex * ex < 9) image.at(z, y, x) = 2;
      }
  return image;
}

}  // namespace

TemporaryFolder::TemporaryFolder(const std::string& name)
    : path_(fs::temp_directory_path() / ("m3d_" + name + "_" + std::to_string(getpid()))) {
  fs::remove_all(path_);
  fs::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string hash_of(const SyntheticRun& run) {
  return content_hash(run.suite + run.dataset + run.architecture + run.axes.dump() + std::to_string(run.seed) +
                      std::to_string(run.fold));
}

Json record_of(const SyntheticRun& run) {
  Json record = {
      {"schema", 1},         {"suite", run.suite}, {"dataset", run.dataset}, {"architecture", run.architecture},
      {"axes", run.axes},    {"fold", run.fold},   {"seed", run.seed},       {"status", run.status},
      {"hash", hash_of(run)}};
  if (run.status == "ok") record["metrics"] = metrics_of(run);
  if (run.status != "ok") record["error"] = run.status + " in step 12";
  record["profile"] = profile_of(run);
  record["provenance"] = {
      {"version", "0.1.0"},      {"git_commit", "0123abc"},
      {"compiler", "GCC 12.2"},  {"libtorch", "2.11.0"},
      {"cuda", nullptr},         {"cpu", "Test CPU"},
      {"gpu", nullptr},          {"threads", 2},
      {"precision", "fp32"},     {"started", run.started},
      {"finished", run.started}, {"command", "m3d-bench --suite " + run.suite + " --dataset " + run.dataset}};
  return record;
}

fs::path write_run(const fs::path& root, const SyntheticRun& run) {
  const fs::path folder = root / run.suite / run.dataset / (run.architecture + "-" + hash_of(run).substr(0, 8));
  fs::create_directories(folder);
  write_atomically(folder / "record.json", record_of(run).dump(2));
  Json config = {{"suite", run.suite},
                 {"architecture", run.architecture},
                 {"architecture_title", run.title},
                 {"architecture_family", run.family},
                 {"dataset_folder", run.dataset_folder},
                 {"axes", run.axes},
                 {"model", run.axes},
                 {"settings", {{"train", {{"epochs", 12}}}, {"data", {{"batch_size", 2}}}}},
                 {"position", run.position},
                 {"seed", run.seed}};
  write_atomically(folder / "config.yaml", to_yaml(config));
  if (run.status == "ok") write_atomically(folder / "log.csv", log_text(run));
  if (run.family == "mamba") write_atomically(folder / "scan_orders.json", scan_orders_of(run).dump());
  return folder;
}

std::vector<SyntheticRun> scanning_suite(int seeds) {
  const std::vector<std::pair<std::string, double>> strategies = {{"single", 0.850},       {"dual", 0.853},
                                                                  {"dual_random", 0.829},  {"dual_dwh", 0.853},
                                                                  {"dual_channel", 0.847}, {"tri", 0.881}};
  std::vector<SyntheticRun> runs;
  for (int seed = 0; seed < seeds; ++seed)
    for (std::size_t i = 0; i < strategies.size(); ++i) {
      SyntheticRun run;
      run.axes = {{"scan", strategies[i].first}};
      run.position = static_cast<int>(i);
      run.seed = static_cast<std::uint64_t>(seed);
      run.dice = strategies[i].second + 0.004 * (seed % 3 - 1);
      run.parameters = 1.2e6 + 5e4 * static_cast<double>(i);
      run.macs = 3.4e9 + 2e8 * static_cast<double>(i);
      run.started = "2026-01-05T1" + std::to_string(i) + ":0" + std::to_string(seed) + ":00Z";
      runs.push_back(run);
    }
  return runs;
}

std::vector<SyntheticRun> patch_suite() {
  std::vector<SyntheticRun> runs;
  for (const bool attention : {false, true})
    for (const int side : {32, 64, 128}) {
      SyntheticRun run;
      if (attention) {
        run.architecture = "ulike_trans_vanilla";
        run.title = "UlikeTrans_vanilla";
        run.family = "transformer";
      }
      run.suite = "efficiency";
      run.axes = {{"patch", "cube_" + std::to_string(side)}};
      run.patch = {side, side, side};
      const double voxels = std::pow(side, 3);
      run.macs = attention ? 8e3 * voxels + 0.15 * voxels * voxels : 13e3 * voxels;
      run.process_memory = side != 32;
      if (attention && side == 128) run.status = "oom";
      run.position = static_cast<int>(runs.size());
      runs.push_back(run);
    }
  return runs;
}

fs::path write_dataset(const fs::path& root, int cases) {
  const fs::path folder = root / "Dataset990_Blobs";
  fs::create_directories(folder / "imagesTr");
  fs::create_directories(folder / "labelsTr");
  for (int k = 0; k < cases; ++k) {
    const LabelImage labels = blobs(k, 0);
    ImageF image{labels.geometry, std::vector<float>(labels.voxels.size())};
    for (std::size_t i = 0; i < image.voxels.size(); ++i)
      image.voxels[i] = static_cast<float>(100 * labels.voxels[i] + 40 + 10 * RandomStream(1, "noise", i).normal());
    const std::string id = "case_" + std::to_string(k);
    write_image(folder / "imagesTr" / (id + "_0000.nii.gz"), image);
    write_labels(folder / "labelsTr" / (id + ".nii.gz"), labels);
  }
  const Json description = {{"channel_names", {{"0", "T1"}}},
                            {"labels", {{"background", 0}, {"liver", 1}, {"vessel", 2}}},
                            {"numTraining", cases},
                            {"file_ending", ".nii.gz"}};
  write_atomically(folder / "dataset.json", description.dump(2));
  return folder;
}

void write_predictions(const fs::path& run_folder, const fs::path& dataset_folder, int error) {
  fs::create_directories(run_folder / "predictions");
  for (const auto& entry : fs::directory_iterator(dataset_folder / "labelsTr")) {
    const std::string file = entry.path().filename().string();
    write_labels(run_folder / "predictions" / file, blobs(std::stoi(file.substr(5)), error));
  }
}

}  // namespace m3d::testing
