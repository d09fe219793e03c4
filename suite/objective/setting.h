#pragma once
// One key of a settings object with its default. Internal to this room.
#include <string>

#include "common/error.h"
#include "common/strict_yaml.h"

namespace m3d {

/// Null and absent keys have the default. Throws UserError for a value of another type.
template <class T>
T setting(const Json& train_settings, const std::string& key, T default_value) {
  const auto found = train_settings.find(key);
  if (found == train_settings.end() || found->is_null()) return default_value;
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    throw UserError("train." + key + ": " + found->dump() + " has the wrong type; its default is " +
                    Json(default_value).dump());
  }
}

}  // namespace m3d
