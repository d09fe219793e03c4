#include "suite/verify/verify.h"

#include <algorithm>
#include <cmath>

#include "common/atomic_file.h"
#include "common/error.h"

namespace m3d {

void RecordComparison::number(const std::string& what, double actual, double expected, double scale, double tolerance) {
  const double difference = std::abs(actual - expected);
  const double relative = scale > 0 ? difference / scale : difference;
  const bool bad = !(relative <= tolerance);
  if (std::isfinite(relative)) largest_ = std::max(largest_, relative);
  if (bad && first_failure_.empty())
    first_failure_ = what + ": expected " + Json(expected).dump() + ", got " + Json(actual).dump();
}

void RecordComparison::exact(const std::string& what, bool equal, const std::string& difference) {
  if (!equal && first_failure_.empty()) first_failure_ = what + (difference.empty() ? " differs" : ": " + difference);
}

RecordCheck RecordComparison::result(const std::string& name, const std::string& kind) const {
  return {name, kind, first_failure_.empty() ? Verdict::ok : Verdict::fail, largest_, first_failure_};
}

namespace {

RecordCheck dispatch(const Json& record, const std::filesystem::path& folder) {
  const std::string kind = record.at("kind").get<std::string>();
  if (kind == "fill") return verify_fill(record);
  if (kind == "operator") return verify_operator(record);
  if (kind == "block") return verify_block(record);
  if (kind == "architecture") return verify_architecture(record);
  if (kind == "rng") return verify_rng(record);
  if (kind == "topology") return verify_topology(record);
  if (kind == "resampling") return verify_resampling(record);
  if (kind == "planner") return verify_planner(record);
  if (kind == "preprocessing") return verify_preprocessing(record, folder);
  if (kind == "splits") return verify_splits(record);
  if (kind == "augmentation") return verify_augmentation(record);
  if (kind == "metrics") return verify_metrics(record, folder);
  if (kind == "region_metrics") return verify_region_metrics(record, folder);
  if (kind == "loss") return verify_loss(record);
  if (kind == "optimiser") return verify_optimiser(record);
  if (kind == "sliding_window") return verify_sliding_window(record);
  return {record.value("name", kind), kind, Verdict::unsupported, 0,
          "this build has no check for records of this kind"};
}

}  // namespace

RecordCheck verify_record(const std::filesystem::path& file) {
  const Json record = Json::parse(read_file(file), nullptr, false);
  if (!record.is_object() || !record.contains("kind") || !record["kind"].is_string())
    throw UserError(file.string() + ": not a reference record (expected a JSON object with a \"kind\")");
  try {
    RecordCheck check = dispatch(record, file.parent_path());
    if (check.name.empty()) check.name = file.stem().string();
    return check;
  } catch (const nlohmann::json::exception& error) {
    throw UserError(file.string() + ": malformed record: " + error.what());
  }
}

}  // namespace m3d
