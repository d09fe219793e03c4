#include "datasets/converters/conversion.h"

#include <set>

#include "common/error.h"
#include "common/nearest_name.h"
#include "datasets/converters/source_folder.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

const std::map<std::string, Converter>& converters() {
  static const std::map<std::string, Converter> table = {{"acdc", convert_acdc},
                                                         {"amos", convert_amos},
                                                         {"case_folders", convert_case_folders},
                                                         {"image_label_folders", convert_image_label_folders},
                                                         {"msd", convert_msd},
                                                         {"totalsegmentator", convert_totalsegmentator}};
  return table;
}

void require_sound(const Conversion& conversion, const fs::path& source) {
  std::set<std::string> ids;
  std::size_t training = 0;
  for (const ConvertedCase& one : conversion.cases) {
    require_case_id(one.id, source.string());
    if (!ids.insert(one.id).second)
      throw UserError("--source " + source.string() + " has the case '" + one.id + "' twice; keep one");
    training += one.test ? 0 : 1;
  }
  if (training == 0) throw UserError("--source " + source.string() + " has no case to train on");
}

}  // namespace

Conversion plan_conversion(const fs::path& source, const Json& descriptor) {
  const std::string name = descriptor["name"];
  if (!descriptor.contains("converter"))
    throw UserError("dataset '" + name +
                    "' has no converter: --source must be an nnU-Net v2 raw folder (dataset.json, "
                    "imagesTr, labelsTr)");
  const auto converter = converters().find(descriptor["converter"].get<std::string>());
  if (converter == converters().end()) throw std::logic_error("descriptor of '" + name + "' names no converter");
  if (!fs::is_directory(source))
    throw UserError("--source " + source.string() + " is not a folder; give the unpacked download of '" + name + "'");
  Conversion conversion = converter->second(source, descriptor);
  require_sound(conversion, source);
  return conversion;
}

}  // namespace m3d
