#pragma once
// Preprocessed cases on disk, in nnU-Net v2's own form (nnunet_conventions.md §1): a folder <plans>_<configuration>
// with <case>.b2nd (float32 [C, D, H, W]), <case>_seg.b2nd (int16 [1, D, H, W], -1 outside the non-zero mask) and
// <case>.pkl. Which plan a folder of ours was made by stands beside it, in <folder>.m3d.json: nnU-Net wants nothing
// else inside.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datasets/preprocessing/preprocessing.h"
#include "datasets/storage/case_properties.h"

namespace m3d {

/// The plan that the cases of a folder were made by: empty for nnU-Net's own, absent where there are no cases.
std::optional<std::string> plan_of_cases(const std::filesystem::path& folder);

/// The case's three files are there and whole.
bool is_complete_case(const std::filesystem::path& folder, const std::string& id);

/// Fills a folder. Cases may be written by several threads, and by a later process that goes on: what is written is
/// whole or not there. Folders that nnU-Net made are not written to.
class CaseWriter {
 public:
  /// `plan_hash` identifies everything that decides the arrays. `rebuild` removes what cases there are; without it,
  /// throws UserError where the folder holds cases of another plan.
  CaseWriter(std::filesystem::path folder, const std::string& plan_hash, const Shape3& patch, bool rebuild = false);

  ~CaseWriter();
  CaseWriter(const CaseWriter&) = delete;
  CaseWriter& operator=(const CaseWriter&) = delete;

  /// `properties.class_locations` must be in the order of `properties.classes`. Throws RunError when the disk is full.
  void write(const PreparedCase& prepared, const CaseProperties& properties) const;

 private:
  std::filesystem::path folder_, partial_;
  Shape3 patch_;
};

/// Bounds what class locations take in memory: those of the cases drawn last are kept.
class LocationMemory;

/// Cases to draw patches from. Nothing of a case is in memory but what a patch touches, and class locations.
class CaseStore {
 public:
  /// Throws UserError: no such folder, no cases, or cases of another plan than `plan_hash` (those that nnU-Net made, of
  /// which no hash is known, are used as they are; an empty hash takes any).
  explicit CaseStore(std::filesystem::path folder, const std::string& plan_hash = "");

  /// Sorted.
  const std::vector<std::string>& ids() const { return ids_; }

  /// `classes` (the label values of each) chooses and orders class_locations(). Throws UserError for an id that the
  /// folder lacks, RunError naming the file for damage.
  std::shared_ptr<const PatchSource> source(const std::string& id, const std::vector<std::vector<int>>& classes) const;

  CaseProperties properties(const std::string& id) const;
  /// The whole case. `crop_begin` and `original` are those of the properties.
  PreparedCase load(const std::string& id, const std::vector<std::vector<int>>& classes) const {
    return load(id, classes, properties(id));
  }
  /// The same with the case's properties, which were read already.
  PreparedCase load(const std::string& id, const std::vector<std::vector<int>>& classes,
                    const CaseProperties& properties) const;

 private:
  std::filesystem::path file(const std::string& id, const char* ending) const;

  std::filesystem::path folder_;
  std::vector<std::string> ids_;
  std::shared_ptr<LocationMemory> memory_;
};

}  // namespace m3d
