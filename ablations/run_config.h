#pragma once
// A fully resolved run: everything that decides its result, nothing else.
#include <cstdint>
#include <string>
#include <vector>

#include "common/option_schema.h"

namespace m3d {

/// Fold number that means "train and validate on all cases".
inline constexpr int kFoldEverything = -1;

struct RunConfig {
  std::string suite;  // name of the suite, the folder under <out>
  std::string dataset;
  std::string architecture;
  std::string name;  // run-name: architecture and the axis values that vary, readable in a path
  Json axes;         // axis name → value
  Json model;        // the architecture's options, all of them
  Json settings;     // all settings, nested: {"data": {...}, "train": {...}, "infer": {...}, "profile": {...}}
  int fold = 0;
  std::uint64_t seed = 0;
  std::string precision = "fp32";
  std::string device = "cpu";
  int position = 0;         // place in the suite, the same for every dataset, fold and seed: the order of tables
  Json match;               // the budget that the widths meet (--match): budget, like, target, reached; else null
  std::string skip_reason;  // from the suite's `exclude`; empty when the run is to be done

  /// What identifies the experiment, keys sorted: dataset, architecture, model, settings (without those that cannot
  /// change a result), fold, seed, precision.
  Json identity() const;
  std::string hash() const;         // of identity(): 16 hexadecimal digits
  std::string folder_name() const;  // <name>-<first 8 digits of the hash>
  /// The content of config.yaml, and back.
  Json to_json() const;
  static RunConfig from_json(const Json& json, const std::string& where);
};

/// Every setting that suites, recipes and --set may give, with type, default and bounds. Names are "data.patch",
/// "train.epochs", ….
const OptionSchema& settings_schema();

/// {"train.epochs": 5} → {"train": {"epochs": 5}}.
Json nest_settings(const Json& flat);

}  // namespace m3d
