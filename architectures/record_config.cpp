#include "architectures/record_config.h"

#include <algorithm>

#include "common/error.h"
#include "common/nearest_name.h"

namespace m3d {

const Json& RecordConfig::require_json(const std::string& key) {
  used_.push_back(key);
  if (!config_.contains(key)) throw UserError("config: key '" + key + "' is missing");
  return config_.at(key);
}

void RecordConfig::copy(const std::string& key, Json& options, const std::string& option) {
  used_.push_back(key);
  if (has(key)) options[option.empty() ? key : option] = config_.at(key);
}

void RecordConfig::ignore(const std::vector<std::string>& keys) { used_.insert(used_.end(), keys.begin(), keys.end()); }

void RecordConfig::expect(const std::string& key, const std::vector<Json>& known) {
  used_.push_back(key);
  if (!has(key) || std::find(known.begin(), known.end(), config_.at(key)) != known.end()) return;
  throw UserError("config: " + key + " is " + config_.at(key).dump() + ", known: " + Json(known).dump());
}

void RecordConfig::require_all_used() const {
  for (const auto& [key, value] : config_.items())
    if (std::find(used_.begin(), used_.end(), key) == used_.end())
      throw UserError("config: " + unknown_name_message("key", key, used_));
}

}  // namespace m3d
