#pragma once
// Small nnU-Net raw datasets in a temporary folder, to be broken by the tests.
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/catalogue/dataset.h"

namespace m3d::test {

struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    static int count = 0;
    path = std::filesystem::temp_directory_path() /
           ("m3d-datasets-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
};

/// A volume whose voxel i holds value(i).
template <class T>
Image<T> make_image(const Shape3& shape, const std::function<double(std::int64_t)>& value) {
  Image<T> image;
  image.geometry.shape = shape;
  image.geometry.spacing_mm = {2, 0.8F, 0.9F};
  image.geometry.origin_mm = {-12.5, 3, 40};
  image.voxels.resize(static_cast<std::size_t>(voxel_count(shape)));
  for (std::size_t i = 0; i < image.voxels.size(); ++i)
    image.voxels[i] = static_cast<T>(value(static_cast<std::int64_t>(i)));
  return image;
}

inline const char* kSmallDatasetJson =
    R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2},
        "numTraining": 6, "file_ending": ".nii.gz"})";

/// Dataset501_Small with six equal CT cases a … f of 4×5×6 voxels, labels 0, 1, 2 in turn.
inline std::filesystem::path write_small_dataset(const std::filesystem::path& root) {
  const std::filesystem::path folder = root / "Dataset501_Small";
  write_atomically(folder / "dataset.json", std::string_view(kSmallDatasetJson));
  const auto image = [&](const char* id) { return folder / "imagesTr" / (std::string(id) + "_0000.nii.gz"); };
  const auto labels = [&](const char* id) { return folder / "labelsTr" / (std::string(id) + ".nii.gz"); };
  write_image(image("a"), make_image<float>({4, 5, 6}, [](std::int64_t i) { return i - 50.0; }));
  write_labels(labels("a"), make_image<std::int16_t>({4, 5, 6}, [](std::int64_t i) { return i % 3; }));
  for (const char* id : {"b", "c", "d", "e", "f"}) {
    std::filesystem::copy_file(image("a"), image(id));
    std::filesystem::copy_file(labels("a"), labels(id));
  }
  return folder;
}

/// The message of the UserError that `action` throws; empty where it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

}  // namespace m3d::test
