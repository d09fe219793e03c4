#pragma once
// What a converter finds in a dataset as it is distributed, and what becomes of it in nnU-Net v2's raw form. Converters
// only look and describe; convert.cpp reads and writes.
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

/// One channel: a whole 3D file, or component `component` of a 4D one.
struct ImageSource {
  std::filesystem::path file;
  int component = -1;
};

/// A label map: a file as it is, a file whose values are renumbered, or binary masks painted one over the other.
struct LabelSource {
  std::filesystem::path file;
  std::map<int, int> relabel;                                // raw value → value; others stay; empty: as it is
  std::vector<std::pair<int, std::filesystem::path>> masks;  // value → voxels > 0; later ones win; absent: empty
  bool absent() const { return file.empty() && masks.empty(); }
};

struct ConvertedCase {
  std::string id;
  bool test = false;  // imagesTs and labelsTs instead of imagesTr and labelsTr
  std::vector<ImageSource> channels;
  LabelSource labels;  // may be absent in test cases
};

struct Conversion {
  std::vector<ConvertedCase> cases;
  Json overrides = Json::object();  // keys of dataset.json that the source decides instead of the descriptor
  Json splits;                      // content of splits_final.json; null: none
  std::vector<std::string> warnings;
};

/// `descriptor` as dataset_descriptor() gives it. Throws UserError when `source` is not laid out as distributed, when a
/// case lacks channels or labels, and for ids that are twice there or cannot be file names.
using Converter = Conversion (*)(const std::filesystem::path& source, const Json& descriptor);

/// The converter that the descriptor names, applied and its result checked. Throws UserError where it names none.
Conversion plan_conversion(const std::filesystem::path& source, const Json& descriptor);

// One file each.
Conversion convert_acdc(const std::filesystem::path& source, const Json& descriptor);
Conversion convert_amos(const std::filesystem::path& source, const Json& descriptor);
Conversion convert_case_folders(const std::filesystem::path& source, const Json& descriptor);
Conversion convert_image_label_folders(const std::filesystem::path& source, const Json& descriptor);
Conversion convert_msd(const std::filesystem::path& source, const Json& descriptor);
Conversion convert_totalsegmentator(const std::filesystem::path& source, const Json& descriptor);

}  // namespace m3d
