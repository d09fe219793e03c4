// Patches a second of the training loader alone, from a folder of preprocessed cases:
//   loader_benchmark FOLDER D,H,W BATCH_SIZE WORKERS BATCHES none|nnunet|nnunet_v1
// Prints one JSON object. scripts/compare-loader runs it beside nnU-Net's own loader.
#include <chrono>
#include <cstdio>
#include <exception>
#include <sstream>

#include "datasets/storage/case_store.h"
#include "kernels/allocator_policy.h"
#include "suite/train/batch_loader.h"

namespace m3d {
namespace {

Shape3 shape_in(const std::string& text) {
  Shape3 shape{};
  char comma = 0;
  std::istringstream stream(text);
  stream >> shape[0] >> comma >> shape[1] >> comma >> shape[2];
  return shape;
}

int run(const std::vector<std::string>& arguments) {
  const CaseStore store(arguments.at(0));
  const auto classes = store.properties(store.ids().front()).classes;
  std::vector<std::shared_ptr<const PatchSource>> sources;
  for (const std::string& id : store.ids()) sources.push_back(store.source(id, classes));
  PatchSampler::Options options{.patch = shape_in(arguments.at(1)), .batch_size = std::stoll(arguments.at(2))};
  if (arguments.at(5) == "nnunet") options.augmentation = Augmentation::nnunet;
  if (arguments.at(5) == "nnunet_v1") options.augmentation = Augmentation::nnunet_v1;
  const PatchSampler sampler(sources, options, 1);
  const std::int64_t workers = std::stoll(arguments.at(3)), batches = std::stoll(arguments.at(4));
  BatchLoader loader([&](std::int64_t step) { return sampler.draw(step); }, 0, workers + batches, workers);
  for (std::int64_t i = 0; i < workers; ++i) loader.next();  // warm-up
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < batches; ++i) loader.next();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("{\"patches_per_second\": %.4f, \"seconds\": %.4f, \"batches\": %lld}\n",
              static_cast<double>(batches * options.batch_size) / seconds, seconds, static_cast<long long>(batches));
  return 0;
}

}  // namespace
}  // namespace m3d

int main(int argc, char** argv) try {
  m3d::keep_freed_memory();  // as the program does
  if (argc == 7) return m3d::run({argv + 1, argv + argc});
  std::fputs("usage: loader_benchmark FOLDER D,H,W BATCH_SIZE WORKERS BATCHES none|nnunet|nnunet_v1\n", stderr);
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "loader_benchmark: %s\n", error.what());
  return 1;
}
