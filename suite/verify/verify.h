#pragma once
// Checks this build against reference records (shared reference/README.md gives format, fill rule and tolerances).
#include <filesystem>
#include <string>

#include "common/strict_yaml.h"

namespace m3d {

enum class Verdict { ok, fail, unsupported };

struct RecordCheck {
  std::string name;
  std::string kind;
  Verdict verdict = Verdict::unsupported;
  double largest_relative_error = 0;  // difference divided by the record's tolerance scale; 0 where all is exact
  std::string detail;                 // first thing that differs, or why the record is unsupported
};

/// Reads a record and dispatches on its `kind`. Throws UserError for a missing or malformed file.
RecordCheck verify_record(const std::filesystem::path& file);

/// Accumulates comparisons of one record: keeps the largest error and the first failure.
class RecordComparison {
 public:
  /// |actual - expected| against tolerance * scale (scale 0: against the tolerance itself).
  void number(const std::string& what, double actual, double expected, double scale, double tolerance);
  void exact(const std::string& what, bool equal, const std::string& difference = "");
  RecordCheck result(const std::string& name, const std::string& kind) const;

 private:
  double largest_ = 0;
  std::string first_failure_;
};

// One function a kind; `folder` is the record's folder (for the files it names).
RecordCheck verify_fill(const Json& record);
RecordCheck verify_operator(const Json& record);
RecordCheck verify_block(const Json& record);
RecordCheck verify_architecture(const Json& record);
RecordCheck verify_rng(const Json& record);
RecordCheck verify_topology(const Json& record);
RecordCheck verify_resampling(const Json& record);
RecordCheck verify_planner(const Json& record);
RecordCheck verify_preprocessing(const Json& record, const std::filesystem::path& folder);
RecordCheck verify_splits(const Json& record);
RecordCheck verify_augmentation(const Json& record);
RecordCheck verify_metrics(const Json& record, const std::filesystem::path& folder);
RecordCheck verify_region_metrics(const Json& record, const std::filesystem::path& folder);
RecordCheck verify_loss(const Json& record);
RecordCheck verify_optimiser(const Json& record);
RecordCheck verify_sliding_window(const Json& record);

}  // namespace m3d
