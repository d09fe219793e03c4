// A folder of images and a folder of label maps (AIIB 2023, BTCV, CRC-500): <image_prefix><rest> belongs to
// <label_prefix><rest>, and the case is called <case_prefix><rest>.
#include "datasets/converters/conversion.h"
#include "datasets/converters/source_folder.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

/// The folder that holds both: the source itself, or one of those where archives put them.
fs::path base_of(const fs::path& source, const Json& descriptor) {
  const Json& layout = descriptor["raw_layout"];
  std::vector<fs::path> candidates = {source};
  const Json places = layout.value("under", Json::array());
  for (const std::string place : places) candidates.push_back(source / place);
  for (const fs::path& base : candidates)
    if (fs::is_directory(base / layout["images"]) && fs::is_directory(base / layout["labels"])) return base;
  throw layout_error(
      source, descriptor,
      "no folders " + layout["images"].get<std::string>() + "/ and " + layout["labels"].get<std::string>() + "/");
}

}  // namespace

Conversion convert_image_label_folders(const fs::path& source, const Json& descriptor) {
  const Json& layout = descriptor["raw_layout"];
  const fs::path base = base_of(source, descriptor);
  const std::string image_prefix = layout.value("image_prefix", ""), label_prefix = layout.value("label_prefix", "");
  Conversion conversion;
  MissingFiles missing;
  for (const std::string& name : volume_names(base / layout["images"])) {
    if (!name.starts_with(image_prefix)) continue;
    const std::string rest = name.substr(image_prefix.size());
    ConvertedCase one{layout.value("case_prefix", "") + rest, false, {}, {}};
    one.channels.push_back({volume(base / layout["images"], name)});
    one.labels.file = volume(base / layout["labels"], label_prefix + rest);
    missing.require(one.labels.file);
    conversion.cases.push_back(std::move(one));
  }
  for (const std::string& name : volume_names(base / layout["labels"]))
    if (name.starts_with(label_prefix))
      missing.require(volume(base / layout["images"], image_prefix + name.substr(label_prefix.size())));
  if (conversion.cases.empty())
    throw layout_error(source, descriptor, (base / layout["images"]).string() + " has no volumes");
  missing.throw_if_any(source);
  return conversion;
}

}  // namespace m3d
