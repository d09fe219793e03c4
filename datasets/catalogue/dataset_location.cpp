#include "datasets/catalogue/dataset_location.h"

#include <algorithm>
#include <cstdlib>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/log.h"
#include "common/nearest_name.h"
#include "datasets/catalogue/descriptor.h"
#include "datasets/phantom/phantom.h"
#include "datasets/preprocessing/preparation_lock.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

bool is_dataset_folder(const fs::path& folder) { return fs::is_regular_file(folder / "dataset.json"); }

/// Folders of `root` whose name fits `pattern`, sorted.
std::vector<fs::path> folders_matching(const fs::path& root, const std::string& pattern) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(root, failure))
    if (entry.is_directory() && matches_folder(entry.path().filename().string(), pattern))
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

/// Those with raw data, then the one with preprocessed data.
std::vector<fs::path> all_roots(const DataRoots& roots) {
  std::vector<fs::path> all = searched_roots(roots);
  if (const fs::path root = folder_in_environment("nnUNet_preprocessed"); !root.empty()) all.push_back(root);
  return all;
}

fs::path find_described(const std::string& name, const DataRoots& roots) {
  std::vector<fs::path> searched = searched_roots(roots);
  if (!dataset_descriptor(name).value("embedded", false)) searched = all_roots(roots);
  for (const auto& root : searched)
    for (const auto& pattern : folder_patterns(name))
      for (const auto& folder : folders_matching(root, pattern)) return folder;
  return {};
}

std::string listing(const std::vector<fs::path>& paths) {
  std::string text;
  for (const auto& path : paths) text += (text.empty() ? "" : ", ") + path.string();
  return text.empty() ? "none is set; give --data-root or set nnUNet_raw" : text;
}

DatasetLocation location_of_folder(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw UserError("dataset folder " + folder.string() + " does not exist; give an nnU-Net v2 raw dataset folder");
  const fs::path absolute = fs::weakly_canonical(folder);
  const std::string claimed = descriptor_of_folder(absolute.filename().string());
  if (claimed.empty()) return {absolute.filename().string(), false, false, absolute};
  return {claimed, true, dataset_descriptor(claimed).value("embedded", false), absolute};
}

/// nnU-Net's id: Dataset218_… in the first root that has one.
DatasetLocation locate_id(const std::string& digits, const DataRoots& roots) {
  const std::string prefix = "Dataset" + std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0') + digits + "_";
  for (const auto& root : all_roots(roots)) {
    std::vector<fs::path> found;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(root, failure))
      if (entry.is_directory() && entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
    if (found.size() > 1)
      throw UserError("--dataset " + digits + " is ambiguous: " + listing(found) + "; give the folder's name");
    if (found.size() == 1) return location_of_folder(found.front());
  }
  if (const auto name = described_dataset(digits))
    return {*name, true, dataset_descriptor(*name).value("embedded", false), {}};
  throw UserError("no folder " + prefix + "… for --dataset " + digits + "; searched: " + listing(all_roots(roots)));
}

DatasetLocation locate_folder_name(const std::string& folder_name, const DataRoots& roots) {
  for (const auto& root : all_roots(roots))
    if (fs::is_directory(root / folder_name)) return location_of_folder(root / folder_name);
  if (const std::string claimed = descriptor_of_folder(folder_name); !claimed.empty())
    return {claimed, true, dataset_descriptor(claimed).value("embedded", false), {}};
  throw UserError("no folder " + folder_name + "; searched: " + listing(all_roots(roots)));
}

}  // namespace

fs::path folder_in_environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

std::vector<fs::path> searched_roots(const DataRoots& roots) {
  std::vector<fs::path> searched;
  if (!roots.data_root.empty()) searched.push_back(roots.data_root);
  if (const fs::path raw = folder_in_environment("nnUNet_raw"); !raw.empty()) searched.push_back(raw);
  if (!roots.output.empty()) searched.push_back(roots.output / "data");
  return searched;
}

DatasetLocation locate_dataset(const std::string& typed, const DataRoots& roots) {
  if (typed.empty()) throw UserError("--dataset is empty; 'list datasets' shows the names");
  if (const auto name = canonical_dataset_name(typed))
    return {*name, true, dataset_descriptor(*name).value("embedded", false), find_described(*name, roots)};
  if (typed.find('/') != std::string::npos || is_dataset_folder(typed)) return location_of_folder(typed);
  if (std::all_of(typed.begin(), typed.end(), [](unsigned char c) { return std::isdigit(c); }))
    return locate_id(typed, roots);
  if (typed.starts_with("Dataset")) return locate_folder_name(typed, roots);
  throw UserError(unknown_name_message("dataset", typed, dataset_names()) +
                  "; an nnU-Net id (218), folder name (Dataset218_…) or path is possible too");
}

fs::path generate_embedded(const std::string& name, const DataRoots& roots) {
  const auto searched = searched_roots(roots);
  if (searched.empty()) throw UserError("no place for the generated dataset '" + name + "': give --data-root or --out");
  const fs::path root = searched.front();
  const fs::path folder = root / usual_folder(name);
  require_writable(root, "--data-root");
  const auto lock = lock_when_free(root / (".generating-" + folder.filename().string()), "generates " + folder.string(),
                                   [&] { return is_dataset_folder(folder); });
  if (!lock) return folder;
  log(LogLevel::info, "generating dataset '" + name + "' in " + folder.string());
  const fs::path temporary = root / (".tmp." + folder.filename().string());
  fs::remove_all(temporary);  // what a killed process left: the lock is ours
  try {
    generate_phantom(name, temporary);
    fs::rename(temporary, folder);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  return folder;
}

std::string absent_message(const std::string& name, const DataRoots& roots) {
  const Json descriptor = dataset_descriptor(name);
  const auto text = [&](const char* key) { return descriptor[key].get<std::string>(); };
  const std::string next = descriptor.contains("next_command")
                               ? text("next_command")
                               : "m3d-bench prepare --dataset " + name + " --source <the unpacked download>";
  return "dataset '" + name + "' (" + text("title") + ") is not here\n  searched: " + listing(searched_roots(roots)) +
         "\n  get it from: " + text("source") + " (" + text("licence") + ")\n  how: " + text("how_to_get") +
         "\n  then run: " + next + "\n  which puts it in: <root>/" + usual_folder(name) +
         "/ as nnU-Net v2 raw data (a folder that nnU-Net converted can be put there too), where <root> is given by "
         "--data-root or nnUNet_raw";
}

}  // namespace m3d
