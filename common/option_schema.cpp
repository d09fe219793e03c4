#include "common/option_schema.h"

#include <algorithm>
#include <stdexcept>

#include "common/error.h"
#include "common/nearest_name.h"

namespace m3d {
namespace {

bool is_type(const Json& value, OptionType type) {
  switch (type) {
    case OptionType::boolean: return value.is_boolean();
    case OptionType::integer: return value.is_number_integer();
    case OptionType::number: return value.is_number();
    case OptionType::string: return value.is_string();
    default: break;
  }
  const OptionType element = type == OptionType::integer_list    ? OptionType::integer
                             : type == OptionType::number_list   ? OptionType::number
                             : type == OptionType::integer_lists ? OptionType::integer_list
                                                                 : OptionType::string;
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [&](const Json& item) { return is_type(item, element); });
}

/// Calls `visit` with every scalar of a list, of its lists, or with the value itself.
template <class Visit>
void for_each_scalar(const Json& value, const Visit& visit) {
  if (!value.is_array()) return visit(value);
  for (const auto& item : value) for_each_scalar(item, visit);
}

}  // namespace

std::string to_string(OptionType type) {
  switch (type) {
    case OptionType::boolean: return "true or false";
    case OptionType::integer: return "an integer";
    case OptionType::number: return "a number";
    case OptionType::string: return "a name";
    case OptionType::integer_list: return "a list of integers";
    case OptionType::number_list: return "a list of numbers";
    case OptionType::string_list: return "a list of names";
    case OptionType::integer_lists: return "a list of lists of integers";
  }
  return "a value";
}

OptionSchema::OptionSchema(std::string kind, std::vector<OptionSpec> specs)
    : kind_(std::move(kind)), specs_(std::move(specs)) {}

bool OptionSchema::has(const std::string& name) const {
  return std::any_of(specs_.begin(), specs_.end(), [&](const OptionSpec& spec) { return spec.name == name; });
}

std::vector<std::string> OptionSchema::names() const {
  std::vector<std::string> names;
  for (const auto& spec : specs_) names.push_back(spec.name);
  return names;
}

const OptionSpec& OptionSchema::at(const std::string& name) const {
  for (const auto& spec : specs_)
    if (spec.name == name) return spec;
  throw std::logic_error("no " + kind_ + " named " + name);
}

OptionSchema OptionSchema::with_default(const std::string& name, Json value) const {
  OptionSchema changed = *this;
  const_cast<OptionSpec&>(changed.at(name)).default_value = std::move(value);
  return changed;
}

Json OptionSchema::check(const std::string& name, const Json& value, const std::string& where) const {
  if (!has(name)) throw UserError(where + ": " + unknown_name_message(kind_, name, names()));
  const OptionSpec& spec = at(name);
  const std::string what = where + ": " + kind_ + " '" + name + "'";
  Json given = value;
  const bool names_expected = spec.type == OptionType::string || spec.type == OptionType::string_list;
  if (names_expected && given.is_number()) given = given.dump();
  if (!is_type(given, spec.type)) throw UserError(what + " expects " + to_string(spec.type) + ", got " + value.dump());
  for_each_scalar(given, [&](const Json& item) {
    if (item.is_number() && (item.get<double>() < spec.minimum || item.get<double>() > spec.maximum))
      throw UserError(what + " is out of range: " + item.dump() + (item.get<double>() < spec.minimum
                          ? " is below " + Json(spec.minimum).dump() : " is above " + Json(spec.maximum).dump()));
    if (item.is_string() && !spec.choices.empty() &&
        std::find(spec.choices.begin(), spec.choices.end(), item.get<std::string>()) == spec.choices.end())
      throw UserError(what + ": " + unknown_name_message("value", item.get<std::string>(), spec.choices));
  });
  if (spec.type == OptionType::number) return given.get<double>();
  return given;
}

Json OptionSchema::resolve(const Json& given, const WhereFunction& where) const {
  for (const auto& [key, value] : given.items()) check(key, value, where(key));
  Json resolved = Json::object();
  for (const auto& spec : specs_)
    resolved[spec.name] =
        given.contains(spec.name) ? check(spec.name, given.at(spec.name), where(spec.name)) : spec.default_value;
  return resolved;
}

}  // namespace m3d
