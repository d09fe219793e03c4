// A task of the Medical Segmentation Decathlon: images with all channels in one 4D file become a file a channel, and
// the names in dataset.json are turned round (nnunetv2/dataset_conversion/convert_MSD_dataset.py).
#include "datasets/catalogue/dataset_json.h"
#include "datasets/converters/conversion.h"
#include "datasets/converters/source_folder.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

ConvertedCase case_of(const fs::path& images, const std::string& id, std::size_t channels, bool test) {
  ConvertedCase one{id, test, {}, {}};
  for (std::size_t c = 0; c < channels; ++c)
    one.channels.push_back({volume(images, id), channels == 1 ? -1 : static_cast<int>(c)});
  return one;
}

}  // namespace

Conversion convert_msd(const fs::path& source, const Json& descriptor) {
  for (const char* folder : {"imagesTr", "labelsTr"})
    if (!fs::is_directory(source / folder)) throw layout_error(source, descriptor, std::string("no folder ") + folder);
  const fs::path file = source / "dataset.json";
  if (!is_file(file)) throw layout_error(source, descriptor, "no dataset.json");
  const Json json = read_json(file);
  if (!json.is_object() || !json.contains("modality") || !json["modality"].is_object() || !json.contains("labels") ||
      !json["labels"].is_object())
    throw layout_error(source, descriptor, "its dataset.json has no 'modality' and 'labels'");

  Conversion conversion;
  MissingFiles missing;
  const std::size_t channels = json["modality"].size();
  for (const std::string& id : volume_names(source / "imagesTr")) {
    conversion.cases.push_back(case_of(source / "imagesTr", id, channels, false));
    conversion.cases.back().labels.file = volume(source / "labelsTr", id);
    missing.require(conversion.cases.back().labels.file);
  }
  for (const std::string& id : volume_names(source / "labelsTr")) missing.require(volume(source / "imagesTr", id));
  missing.throw_if_any(source);
  if (fs::is_directory(source / "imagesTs"))
    for (const std::string& id : volume_names(source / "imagesTs"))
      conversion.cases.push_back(case_of(source / "imagesTs", id, channels, true));
  conversion.overrides = {{"channel_names", json["modality"]}, {"labels", labels_by_name(json, file.string())}};
  for (const char* key : {"channel_names", "labels"})
    if (nlohmann::json(conversion.overrides[key]) != nlohmann::json(descriptor[key]))
      conversion.warnings.push_back(file.string() + " gives other " + key +
                                    " than this program's descriptor; they are kept");
  return conversion;
}

}  // namespace m3d
