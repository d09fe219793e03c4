// ACDC: training/patientXXX/patientXXX_frameYY.nii.gz with _gt beside it; the 4D cine beside them is not used
// (nnunetv2/dataset_conversion/Dataset027_ACDC.py). The folds by patient are a named split of the descriptor.
#include "datasets/converters/conversion.h"
#include "datasets/converters/source_folder.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

bool is_frame(const std::string& name) {
  return name.find("_frame") != std::string::npos && !name.ends_with("_gt") && !name.ends_with("_4d");
}

void add_patients(const fs::path& folder, bool test, Conversion& conversion, MissingFiles& missing) {
  for (const std::string& patient : subfolder_names(folder))
    for (const std::string& name : volume_names(folder / patient)) {
      if (!is_frame(name)) continue;
      ConvertedCase one{name, test, {{volume(folder / patient, name)}}, {}};
      const fs::path labels = volume(folder / patient, name + "_gt");
      if (!test) missing.require(labels);
      if (is_file(labels)) one.labels.file = labels;
      conversion.cases.push_back(std::move(one));
    }
}

}  // namespace

Conversion convert_acdc(const fs::path& source, const Json& descriptor) {
  if (!fs::is_directory(source / "training")) throw layout_error(source, descriptor, "no folder training/");
  Conversion conversion;
  MissingFiles missing;
  add_patients(source / "training", false, conversion, missing);
  if (conversion.cases.empty())
    throw layout_error(source, descriptor, "no patientXXX_frameYY.nii.gz in the folders of training/");
  if (fs::is_directory(source / "testing")) add_patients(source / "testing", true, conversion, missing);
  missing.throw_if_any(source);
  return conversion;
}

}  // namespace m3d
