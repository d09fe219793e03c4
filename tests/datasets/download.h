#pragma once
// Small datasets laid out exactly as they are distributed, to be converted and to be broken by the tests.
#include "datasets/catalogue/convert_dataset.h"
#include "tests/datasets/small_dataset.h"

namespace m3d::test {

/// A download and the data root beside it.
struct Download {
  TemporaryFolder place;
  std::filesystem::path source = place.path / "download", root = place.path / "nnUNet_raw";

  ConversionRequest request(const std::string& dataset) const { return {dataset, source, {root, {}}}; }
  /// Converts and opens.
  Dataset convert(const std::string& dataset) const {
    return open_dataset((convert_dataset(request(dataset)) / "").string(), {root, {}});
  }
  std::string refusal(const std::string& dataset) const {
    return error_of([&] { convert_dataset(request(dataset)); });
  }

  void image(const std::string& file, double offset = 0) const {
    write_image(source / file, make_image<float>({4, 5, 6}, [&](std::int64_t i) { return offset + i; }));
  }
  void labels(const std::string& file, const std::function<double(std::int64_t)>& value) const {
    write_labels(source / file, make_image<std::int16_t>({4, 5, 6}, value));
  }
  void text(const std::string& file, const std::string& content) const {
    write_atomically(source / file, std::string_view(content));
  }
};

/// Subjects s0001 … of TotalSegmentator MRI with masks of spleen (voxels 0-9), liver (5-14) and brain (20, 21).
inline void add_subjects(const Download& download, int count, const char* image = "mri") {
  for (int i = 1; i <= count; ++i) {
    char id[16];
    std::snprintf(id, sizeof id, "s%04d", i);
    const std::string folder = id;
    download.image(folder + "/" + image + ".nii.gz", i);
    const auto mask = [&](const char* name, int first, int last) {
      download.labels(folder + "/segmentations/" + name + ".nii.gz",
                      [&](std::int64_t voxel) { return voxel >= first && voxel <= last ? 1 : 0; });
    };
    mask("spleen", 0, 9);
    mask("liver", 5, 14);
    mask("brain", 20, 21);
  }
}

inline const std::vector<std::string> k2021 = {"_t1", "_t1ce", "_t2", "_flair"};
inline const std::vector<std::string> k2023 = {"-t1n", "-t1c", "-t2w", "-t2f"};

/// Channels with these suffixes, and labels 0, 1, 2 and `enhancing` in turn.
inline void add_brats_case(const Download& download, const std::string& id, const std::vector<std::string>& suffixes,
                           const std::string& labels, int enhancing) {
  double offset = 0;
  for (const std::string& suffix : suffixes) download.image(id + "/" + id + suffix + ".nii.gz", offset += 1000);
  const int raw[] = {0, 1, 2, enhancing};
  download.labels(id + "/" + id + labels + ".nii.gz", [&](std::int64_t i) { return raw[i % 4]; });
}

inline std::vector<std::string> ids_of(const Dataset& dataset) {
  std::vector<std::string> ids;
  for (const auto& files : dataset.training) ids.push_back(files.id);
  return ids;
}

inline LoadedCase first_case(const Dataset& dataset) { return load_case(dataset, dataset.training.front()); }

}  // namespace m3d::test
