// Our side of scripts/compare-preprocessing.
//   bench_preprocessing resample D,H,W d,h,w IN OUT ROUNDS   float32 [D, H, W] → [d, h, w], cubic; seconds of each
//   round bench_preprocessing prepare FOLDER OUT CONFIGURATION     fingerprint, plan and cases of an nnU-Net raw
//   dataset
// Results are raw little-endian arrays, <case>.f32 and <case>.i16; one JSON document goes to stdout.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <utility>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/planning/dataset_fingerprint.h"
#include "datasets/planning/planner.h"
#include "datasets/preprocessing/preprocess_dataset.h"

namespace m3d {
namespace {

namespace fs = std::filesystem;

class Stopwatch {
 public:
  /// Seconds since the last call.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(start_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Of this program: getrusage's peak is inherited from the process that started it.
std::int64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  std::string key;
  std::int64_t kibibytes = 0;
  while (status >> key)
    if (key == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  return 0;
}

/// Processor seconds of all threads so far.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Shape3 parse_shape(const std::string& text) {
  Shape3 shape{};
  if (std::sscanf(text.c_str(), "%ld,%ld,%ld", &shape[0], &shape[1], &shape[2]) != 3)
    throw UserError("expected three sizes D,H,W, got " + text);
  return shape;
}

template <class T>
void write_array(const fs::path& file, const std::vector<T>& values) {
  std::ofstream stream(file, std::ios::binary);
  stream.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!stream) throw UserError("cannot write " + file.string());
}

std::vector<float> read_array(const fs::path& file, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::ifstream stream(file, std::ios::binary);
  stream.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  if (!stream) throw UserError(file.string() + " does not hold " + std::to_string(count) + " values");
  return values;
}

Json resample(const std::vector<std::string>& arguments) {
  const Shape3 shape = parse_shape(arguments.at(0)), new_shape = parse_shape(arguments.at(1));
  const std::vector<float> voxels = read_array(arguments.at(2), voxel_count(shape));
  const Resampling resampling(shape, new_shape, {1, 1, 1}, {1, 1, 1}, {});
  Json seconds = Json::array(), processor = Json::array();
  const std::int64_t before = peak_bytes();
  for (int round = 0; round < std::stoi(arguments.at(4)); ++round) {
    Stopwatch watch;
    const double start = processor_seconds();
    const std::vector<float> result = resampling.image(voxels);
    seconds.push_back(watch.lap());
    processor.push_back(processor_seconds() - start);
    write_array(arguments.at(3), result);
  }
  return {{"seconds", seconds}, {"cpu_seconds", processor}, {"peak_bytes", peak_bytes() - before}};
}

Json prepare(const std::vector<std::string>& arguments) {
  const Dataset dataset = open_dataset(arguments.at(0), {});
  const fs::path output = arguments.at(1);
  fs::create_directories(output);
  Stopwatch watch;
  const Fingerprint fingerprint = extract_fingerprint(dataset);
  const double fingerprint_seconds = watch.lap();
  const Plans plans = plan_experiment(planning_facts(dataset), fingerprint, Planner::plain);
  const double plan_seconds = watch.lap();
  PreprocessingJob job;
  job.take = [&](const PreparedCase& prepared) {
    write_array(output / (prepared.id + ".f32"), prepared.image);
    write_array(output / (prepared.id + ".i16"), prepared.labels);
  };
  const auto failures = preprocess_dataset(dataset, plans, plans.configuration(arguments.at(2)), job);
  if (!failures.empty()) throw UserError(failures.front());
  const double case_seconds = watch.lap();
  write_atomically(output / "dataset_fingerprint.json", fingerprint_json(fingerprint).dump());
  write_atomically(output / "nnUNetPlans.json", plans.json().dump());
  return {{"fingerprint_seconds", fingerprint_seconds},
          {"plan_seconds", plan_seconds},
          {"case_seconds", case_seconds},
          {"cpu_seconds", processor_seconds()},
          {"peak_bytes", peak_bytes()}};
}

Json run(const std::string& command, const std::vector<std::string>& arguments) {
  if (command == "resample" && arguments.size() == 5) return resample(arguments);
  if (command == "prepare" && arguments.size() == 3) return prepare(arguments);
  throw UserError("expected resample D,H,W d,h,w IN OUT ROUNDS, or prepare FOLDER OUT CONFIGURATION");
}

}  // namespace
}  // namespace m3d

int main(int count, char** arguments) {
  try {
    const std::vector<std::string> all(arguments + 1, arguments + count);
    const std::string command = all.empty() ? "" : all.front();
    const m3d::Json result =
        m3d::run(command, all.empty() ? all : std::vector<std::string>(all.begin() + 1, all.end()));
    std::printf("%s\n", result.dump().c_str());
    return 0;
  } catch (const m3d::UserError& error) {
    std::fprintf(stderr, "bench_preprocessing: %s\n", error.what());
    return 2;
  }
}
