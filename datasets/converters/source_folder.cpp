#include "datasets/converters/source_folder.h"

#include <algorithm>

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLongestId = 200;
constexpr std::size_t kListed = 5;

std::string without_ending(const std::string& name) {
  for (const char* ending : {".nii.gz", ".nii"})
    if (name.ends_with(ending)) return name.substr(0, name.size() - std::string(ending).size());
  return {};
}

template <class Use>
void for_each_entry(const fs::path& folder, const Use& use) {
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) use(entry);
  if (failure) throw UserError("cannot read the folder " + folder.string() + ": " + failure.message());
}

}  // namespace

void require_case_id(const std::string& id, const std::string& where) {
  const bool unprintable = std::any_of(id.begin(), id.end(), [](unsigned char c) { return c < 32 || c == 127; });
  if (!id.empty() && id.size() <= kLongestId && id.front() != '.' && !unprintable &&
      id.find_first_of("/\\") == std::string::npos)
    return;
  throw UserError(where + ": the case id '" + (unprintable ? "(unprintable)" : id.substr(0, kLongestId)) +
                  "' cannot be a file name; expected up to " + std::to_string(kLongestId) +
                  " characters without / and \\, not beginning with a dot");
}

std::vector<std::string> subfolder_names(const fs::path& folder) {
  std::vector<std::string> names;
  for_each_entry(folder, [&](const fs::directory_entry& entry) {
    std::error_code failure;
    const std::string name = entry.path().filename().string();
    if (name.front() != '.' && entry.is_directory(failure)) names.push_back(name);
    if (failure == std::errc::too_many_symbolic_link_levels)
      throw UserError(entry.path().string() + " is a link that leads in a circle; remove or repair it");
  });
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> volume_names(const fs::path& folder) {
  std::vector<std::string> names;
  for_each_entry(folder, [&](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    const std::string stem = without_ending(name);
    if (!stem.empty() && name.front() != '.' && name.front() != '_' && is_file(entry.path())) names.push_back(stem);
  });
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    throw UserError(folder.string() + " has " + *twice + " twice, as .nii.gz and as .nii; remove one");
  return names;
}

fs::path volume(const fs::path& folder, const std::string& name) {
  const fs::path compressed = folder / (name + ".nii.gz"), plain = folder / (name + ".nii");
  if (is_file(compressed) && is_file(plain))
    throw UserError(folder.string() + " has " + name + " twice, as .nii.gz and as .nii; remove one");
  return is_file(plain) ? plain : compressed;
}

bool is_file(const fs::path& file) {
  std::error_code failure;
  const bool regular = fs::is_regular_file(file, failure);
  if (failure == std::errc::too_many_symbolic_link_levels)
    throw UserError(file.string() + " is a link that leads in a circle; remove or repair it");
  return regular;
}

UserError layout_error(const fs::path& source, const Json& descriptor, const std::string& missing) {
  return UserError("--source " + source.string() + " is not laid out as '" + descriptor["name"].get<std::string>() +
                   "' is distributed: " + missing + "\n  expected: " + descriptor["how_to_get"].get<std::string>());
}

Json labels_by_name(const Json& json, const std::string& where) {
  const Json given = json.value("labels", Json());
  Json labels = Json::object();
  if (!given.is_object()) throw UserError(where + R"(: expected 'labels' like {"0": "background", "1": "spleen"})");
  for (const auto& [value, name] : given.items()) {
    if (!name.is_string() || value.empty() || value.size() > 4 ||
        value.find_first_not_of("0123456789") != std::string::npos)
      throw UserError(where + R"(: expected 'labels' like {"0": "background", "1": "spleen"})");
    labels[name.get<std::string>()] = std::stoi(value);
  }
  return labels;
}

void MissingFiles::require(const fs::path& file) {
  if (!is_file(file)) missing_.push_back(file);
}

void MissingFiles::throw_if_any(const fs::path& source) const {
  if (missing_.empty()) return;
  std::string text;
  for (std::size_t i = 0; i < std::min(missing_.size(), kListed); ++i)
    text += (i ? ", " : "") + missing_[i].lexically_relative(source).string();
  if (missing_.size() > kListed) text += " and " + std::to_string(missing_.size() - kListed) + " more";
  throw UserError("--source " + source.string() + " lacks " + std::to_string(missing_.size()) + " files: " + text +
                  "; complete the download, or remove the other files of these cases");
}

}  // namespace m3d
