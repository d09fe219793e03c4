// By hand (hidden from ctest): test_infer "[huge]"; M3D_HUGE_EDGE gives another edge than 1000 voxels.
#include <torch/torch.h>

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "suite/infer/export.h"
#include "suite/infer/sliding_window.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

constexpr std::int64_t kClasses = 16;

/// Peak of the process's memory so far, in GiB.
double peak_gibibytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / (1 << 20);
  return 0;
}

/// The class of a voxel, which is its value too.
std::int16_t class_at(std::int64_t z, std::int64_t y, std::int64_t x) {
  return static_cast<std::int16_t>((z / 50 + y / 40 + x / 60) % kClasses);
}

}  // namespace

TEST_CASE("a CT of 1000 x 1000 x 1000 voxels and 16 classes takes less than 8 GiB", "[.][huge]") {
  const char* given = std::getenv("M3D_HUGE_EDGE");
  const std::int64_t edge = given ? std::atoll(given) : 1000;
  PreparedCase prepared;
  prepared.id = "huge";
  prepared.shape = prepared.original.shape = {edge, edge, edge};
  prepared.channels = 1;
  prepared.image.resize(static_cast<std::size_t>(edge * edge * edge));
  std::size_t voxel = 0;
  for (std::int64_t z = 0; z < edge; ++z)
    for (std::int64_t y = 0; y < edge; ++y)
      for (std::int64_t x = 0; x < edge; ++x) prepared.image[voxel++] = static_cast<float>(class_at(z, y, x));
  Dataset dataset;
  for (int label = 1; label < kClasses; ++label) dataset.classes.push_back({"c" + std::to_string(label), {label}});
  // Logit k is k v - k² / 2: largest where k is nearest to the voxel's value v.
  const torch::Tensor k = torch::arange(kClasses, torch::kFloat);
  const torch::Tensor weight = k.view({-1, 1, 1, 1, 1}), bias = -k.square() / 2;
  SlidingWindowOptions options;
  options.patch = {128, 128, 128};
  options.overlap = 0.25;
  options.memory_bytes = std::int64_t{1} << 29;
  LabelPainter painter(dataset, prepared);
  std::int64_t planes = 0;
  predict_slabs([&](const torch::Tensor& tile) { return torch::conv3d(tile, weight, bias); },
                torch::from_blob(prepared.image.data(), {1, edge, edge, edge}), kClasses, options,
                [&](std::int64_t first, const torch::Tensor& logits) {
                  painter.add(first, logits);
                  planes += logits.size(1);
                });
  CHECK(planes == edge);
  const LabelImage labels = painter.take();
  std::int64_t wrong = 0;
  for (std::int64_t z = 0; z < edge; z += 7)
    for (std::int64_t y = 0; y < edge; y += 11)
      for (std::int64_t x = 0; x < edge; x += 13) wrong += labels.at(z, y, x) != class_at(z, y, x);
  CHECK(wrong == 0);
  std::cout << "edge " << edge << ": peak " << peak_gibibytes() << " GiB\n";
  CHECK(peak_gibibytes() < 8);
}
