#include "datasets/catalogue/dataset_json.h"

#include <algorithm>
#include <set>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/images/image_endings.h"

namespace m3d {
namespace {

const Json& required(const Json& json, const std::string& key, const std::string& where, const std::string& form) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_object() || found->empty())
    throw UserError(where + ": key '" + key + "' is missing or not an object; expected " + form);
  return *found;
}

std::vector<std::string> parse_channels(const Json& json, const std::string& where) {
  const std::string key = json.contains("channel_names") || !json.contains("modality") ? "channel_names" : "modality";
  const Json& channels = required(json, key, where, R"({"0": "CT"} with one entry a channel)");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const auto channel = channels.find(std::to_string(i));
    if (channel == channels.end() || !channel->is_string())
      throw UserError(where + ": '" + key + "' has " + std::to_string(channels.size()) + " entries but none named \"" +
                      std::to_string(i) + "\" with a text; number the channels from 0");
    names.push_back(channel->get<std::string>());
  }
  return names;
}

std::vector<int> label_values(const Json& value, const std::string& name, const std::string& where) {
  const auto is_label = [](const Json& v) { return v.is_number_integer() && v >= 0 && v <= 32767; };
  if (is_label(value)) return {value.get<int>()};
  if (value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), is_label))
    return value.get<std::vector<int>>();
  throw UserError(where + ": label '" + name + "' is " + value.dump() +
                  "; expected a whole number or a list of them (nnU-Net v2's name → value; "
                  "nnUNetv2_convert_MSD_dataset converts older files)");
}

void parse_labels(const Json& labels, const std::string& where, DatasetJson& result) {
  bool background = false;
  for (const auto& [name, value] : labels.items()) {
    const std::vector<int> values = label_values(value, name, where);
    if (values == std::vector<int>{0}) {
      background = true;
    } else if (name == "ignore") {
      result.ignore_label = values.front();
    } else {
      result.region_based = result.region_based || values.size() > 1;
      result.classes.push_back({name, values, value.is_array()});
    }
  }
  if (!background) throw UserError(where + R"(: 'labels' has no "background": 0; add it)");
  if (result.classes.empty()) throw UserError(where + ": 'labels' names nothing but background; add the structures");
}

/// nnU-Net's rule for plain labels: each value once, 1 … n without a gap.
void order_plain_labels(const std::string& where, DatasetJson& result) {
  auto& classes = result.classes;
  std::stable_sort(classes.begin(), classes.end(),
                   [](const LabelClass& a, const LabelClass& b) { return a.values < b.values; });
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (classes[i].values.front() != static_cast<int>(i) + 1)
      throw UserError(where + ": label '" + classes[i].name + "' has value " +
                      std::to_string(classes[i].values.front()) + " where " + std::to_string(i + 1) +
                      " was expected; number the labels 1, 2, 3 … without gaps or repeats");
}

void parse_region_order(const Json& json, const std::string& where, DatasetJson& result) {
  const auto order = json.find("regions_class_order");
  const auto is_label = [](const Json& v) { return v.is_number_integer(); };
  if (order == json.end() || !order->is_array() || order->size() != result.classes.size() ||
      !std::all_of(order->begin(), order->end(), is_label))
    throw UserError(where + ": labels with several values (regions) need 'regions_class_order': a list of " +
                    std::to_string(result.classes.size()) + " label values, one a region, in painting order");
  result.regions_class_order = order->get<std::vector<int>>();
  std::set<int> known;
  for (const auto& region : result.classes) known.insert(region.values.begin(), region.values.end());
  for (const int value : result.regions_class_order)
    if (!known.contains(value))
      throw UserError(where + ": 'regions_class_order' has " + std::to_string(value) + ", which no region contains");
}

}  // namespace

DatasetJson parse_dataset_json(const Json& json, const std::string& where) {
  if (!json.is_object()) throw UserError(where + ": expected an object with channel_names, labels and file_ending");
  DatasetJson result;
  result.channel_names = parse_channels(json, where);
  parse_labels(required(json, "labels", where, R"({"background": 0, "liver": 1})"), where, result);
  if (result.region_based)
    parse_region_order(json, where, result);
  else
    order_plain_labels(where, result);
  if (const auto ending = json.find("file_ending"); ending != json.end()) {
    const auto& known = image_endings();
    if (!ending->is_string() || std::find(known.begin(), known.end(), ending->get<std::string>()) == known.end())
      throw UserError(where + ": file_ending is " + ending->dump() + "; this program reads " + Json(known).dump());
    result.file_ending = ending->get<std::string>();
  }
  if (const auto count = json.find("numTraining"); count != json.end() && count->is_number_integer())
    result.number_of_training_cases = count->get<int>();
  if (const auto reader = json.find("overwrite_image_reader_writer"); reader != json.end() && reader->is_string())
    result.image_reader = reader->get<std::string>();
  if (const auto cases = json.find("dataset"); cases != json.end()) result.cases = *cases;
  return result;
}

Json read_json(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::string twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  try {
    Json json = Json::parse(text, watch);
    if (!twice.empty()) throw UserError(file.string() + ": key '" + twice + "' occurs twice in one object; keep one");
    return json;
  } catch (const Json::parse_error& error) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    throw UserError(file.string() + ":" + std::to_string(std::count(text.begin(), end, '\n') + 1) +
                    ": not valid JSON: " + error.what());
  }
}

DatasetJson read_dataset_json(const std::filesystem::path& file) {
  return parse_dataset_json(read_json(file), file.string());
}

}  // namespace m3d
