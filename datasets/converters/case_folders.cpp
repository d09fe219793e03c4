// A folder a case, a file a channel and one for the labels, named <case><suffix> (BraTS 2021 and 2023). Values of
// labels are renumbered as nnU-Net's converter of that year does (nnunetv2/dataset_conversion/Dataset137_BraTS21.py).
#include "datasets/converters/conversion.h"
#include "datasets/converters/source_folder.h"

namespace m3d {
namespace fs = std::filesystem;

Conversion convert_case_folders(const fs::path& source, const Json& descriptor) {
  const Json& layout = descriptor["raw_layout"];
  std::map<int, int> relabel;
  const Json changes = layout.value("relabel", Json::object());
  for (const auto& [from, to] : changes.items()) relabel[std::stoi(from)] = to;

  Conversion conversion;
  MissingFiles missing;
  for (const std::string& id : subfolder_names(source)) {
    if (!id.starts_with(layout["case_prefix"].get<std::string>())) continue;
    ConvertedCase one{id, false, {}, {}};
    for (const std::string suffix : layout["channels"]) {
      one.channels.push_back({volume(source / id, id + suffix)});
      missing.require(one.channels.back().file);
    }
    one.labels = {volume(source / id, id + layout["labels"].get<std::string>()), relabel, {}};
    missing.require(one.labels.file);
    conversion.cases.push_back(std::move(one));
  }
  if (conversion.cases.empty())
    throw layout_error(source, descriptor, "no folder begins with " + layout["case_prefix"].get<std::string>());
  missing.throw_if_any(source);
  return conversion;
}

}  // namespace m3d
