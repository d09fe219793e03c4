#include "common/strict_yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <set>
#include <sstream>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/nearest_name.h"

namespace m3d {
namespace {

/// yaml-cpp lets other bytes pass, and the JSON library throws where it writes them: into messages, for example.
bool is_utf8(const std::string& text) {
  try {
    Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

void require_utf8(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number)
    if (!is_utf8(line))
      throw UserError(name + ":" + std::to_string(number) + ": not valid UTF-8; save the file in that encoding");
}

Json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (auto [stop, error] = std::from_chars(begin, end, integer); error == std::errc() && stop == end) return integer;
  double number = 0;
  const bool looks_numeric = begin != end && std::string("0123456789.-").find(*begin) != std::string::npos;
  if (auto [stop, error] = std::from_chars(begin, end, number);
      looks_numeric && error == std::errc() && stop == end && std::isfinite(number))
    return number;
  return text;
}

class Converter {
 public:
  Converter(const std::string& name, std::map<std::string, int>& lines) : name_(name), lines_(lines) {}

  Json convert(const YAML::Node& node, const std::string& pointer) {
    lines_[pointer] = node.Mark().line + 1;
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        return node.Tag() == "!" ? Json(text_of(node)) : plain_scalar(text_of(node));
      case YAML::NodeType::Sequence:
        return convert_sequence(node, pointer);
      case YAML::NodeType::Map:
        return convert_map(node, pointer);
      default:
        return nullptr;
    }
  }

 private:
  Json convert_sequence(const YAML::Node& node, const std::string& pointer) {
    Json list = Json::array();
    for (std::size_t i = 0; i < node.size(); ++i) list.push_back(convert(node[i], pointer + "/" + std::to_string(i)));
    return list;
  }

  /// yaml-cpp makes single bytes of the escapes \_ and \N.
  const std::string& text_of(const YAML::Node& node) const {
    if (!is_utf8(node.Scalar()))
      throw UserError(name_ + ":" + std::to_string(node.Mark().line + 1) +
                      ": an escape in this text is not read here; write the character itself");
    return node.Scalar();
  }

  Json convert_map(const YAML::Node& node, const std::string& pointer) {
    Json object = Json::object();
    for (const auto& entry : node) {
      const int line = entry.first.Mark().line + 1;
      if (!entry.first.IsScalar()) throw UserError(name_ + ":" + std::to_string(line) + ": a key must be a plain name");
      const std::string key = text_of(entry.first);
      if (object.contains(key))
        throw UserError(name_ + ":" + std::to_string(line) + ": key '" + key + "' occurs twice (first in line " +
                        std::to_string(lines_[pointer + "/" + key]) + "); keep one");
      object[key] = convert(entry.second, pointer + "/" + key);
      lines_[pointer + "/" + key] = line;
    }
    return object;
  }

  const std::string& name_;
  std::map<std::string, int>& lines_;
};

void emit(YAML::Emitter& out, const Json& value) {
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    out << YAML::Flow << YAML::BeginSeq;
    for (const auto& item : value) emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    const std::string text = value.get<std::string>();
    if (plain_scalar(text).is_string()) {
      out << text;
    } else {
      out << YAML::DoubleQuoted << text;
    }
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << value.dump();
  }
}

}  // namespace

YamlDocument YamlDocument::load(const std::filesystem::path& file) { return parse(read_file(file), file.string()); }

YamlDocument YamlDocument::parse(const std::string& text, const std::string& name) {
  require_utf8(text, name);
  YamlDocument document;
  document.name_ = name;
  try {
    document.root_ = Converter(document.name_, document.lines_).convert(YAML::Load(text), "");
  } catch (const YAML::Exception& error) {
    throw UserError(name + ":" + std::to_string(error.mark.line + 1) + ": not valid YAML: " + error.msg);
  }
  return document;
}

std::string YamlDocument::where(const std::string& pointer) const {
  for (std::string at = pointer;; at.erase(at.rfind('/'))) {
    if (const auto found = lines_.find(at); found != lines_.end()) return name_ + ":" + std::to_string(found->second);
    if (at.find('/') == std::string::npos) return name_;
  }
}

void require_known_keys(const YamlDocument& document, const std::string& pointer,
                        const std::vector<std::string>& known) {
  const Json& object = document.root().at(Json::json_pointer(pointer));
  if (!object.is_object()) throw UserError(document.where(pointer) + ": expected a mapping of names to values");
  const std::set<std::string> allowed(known.begin(), known.end());
  for (const auto& [key, value] : object.items())
    if (!allowed.contains(key))
      throw UserError(document.where(pointer + "/" + key) + ": " + unknown_name_message("key", key, known));
}

std::string to_yaml(const Json& value) {
  YAML::Emitter out;
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

Json parse_scalar_or_list(const std::string& text, const std::string& name) {
  return YamlDocument::parse(text, name).root();
}

}  // namespace m3d
