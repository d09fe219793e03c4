#pragma once
// Reads a reference record's `config`: the original's constructor arguments, every one of which must be understood.
#include <string>
#include <vector>

#include "common/strict_yaml.h"

namespace m3d {

class RecordConfig {
 public:
  explicit RecordConfig(const Json& config) : config_(config) {}

  /// The value, or `otherwise` where the key is absent or null.
  template <class Value>
  Value get(const std::string& key, Value otherwise) {
    used_.push_back(key);
    const auto found = config_.find(key);
    if (found == config_.end() || found->is_null()) return otherwise;
    return found->get<Value>();
  }
  template <class Value>
  Value require(const std::string& key) {
    return require_json(key).get<Value>();
  }
  /// Copies `key`, where it is there and not null, into `options` under `option` (the same name if empty).
  void copy(const std::string& key, Json& options, const std::string& option = "");
  bool has(const std::string& key) const { return config_.contains(key) && !config_.at(key).is_null(); }
  /// Keys that say how the original computes or names, not what.
  void ignore(const std::vector<std::string>& keys);
  /// Throws UserError where `key` is there, not null, and not one of `known`: for what only one value can mean.
  void expect(const std::string& key, const std::vector<Json>& known);
  /// Throws UserError for a key that nothing has asked for.
  void require_all_used() const;

 private:
  const Json& require_json(const std::string& key);
  const Json& config_;
  std::vector<std::string> used_;
};

}  // namespace m3d
