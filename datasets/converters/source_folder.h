#pragma once
// Looking around in a downloaded dataset. Internal to the converters.
#include <filesystem>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/strict_yaml.h"

namespace m3d {

/// Throws UserError unless `id` can be a file name that stays in its folder.
void require_case_id(const std::string& id, const std::string& where);

/// Names of the folders in `folder` (following links), sorted; hidden ones left out.
std::vector<std::string> subfolder_names(const std::filesystem::path& folder);

/// Names without ending of the volumes (.nii.gz, .nii) in `folder`, sorted; names that begin with '.' or '_' (what
/// archives of other systems leave behind) left out. Throws UserError where one volume is there in both forms.
std::vector<std::string> volume_names(const std::filesystem::path& folder);

/// The volume `name` in `folder`, or the path it should have where it is absent.
std::filesystem::path volume(const std::filesystem::path& folder, const std::string& name);

/// Whether `file` is a regular file (following links). Throws UserError for links that lead in circles.
bool is_file(const std::filesystem::path& file);

/// The error for a source that is laid out otherwise: what is missing, and the layout that the descriptor names.
UserError layout_error(const std::filesystem::path& source, const Json& descriptor, const std::string& missing);

/// The labels of an older dataset.json, {"1": "spleen"}, as nnU-Net v2 has them: {"spleen": 1}. Throws UserError for
/// others.
Json labels_by_name(const Json& dataset_json, const std::string& where);

/// Collects files that cases lack, to name them all in one message.
class MissingFiles {
 public:
  void require(const std::filesystem::path& file);
  /// Throws UserError when any is missing.
  void throw_if_any(const std::filesystem::path& source) const;

 private:
  std::vector<std::filesystem::path> missing_;
};

}  // namespace m3d
