#include "suite/evaluate/python_json.h"

#include <charconv>
#include <cmath>

namespace m3d {
namespace {

/// The shortest decimal that reads back as `value`, in positional notation from 1e-4 up to 1e16, as repr() writes it.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  const double size = std::abs(value);
  const auto format =
      size != 0 && (size < 1e-4 || size >= 1e16) ? std::chars_format::scientific : std::chars_format::fixed;
  char buffer[64];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr);
  const bool is_whole = text.find_first_of(".e") == std::string::npos;
  return is_whole ? text + ".0" : text;
}

void append(const Json& value, const std::string& line_break, std::string& text) {
  const std::string deeper = line_break + "    ";
  if (value.is_object() && !value.empty()) {
    const nlohmann::json sorted = value;  // nlohmann's plain object sorts its keys
    const char* before = "{";
    for (const auto& [key, member] : sorted.items()) {
      text += before + deeper + Json(key).dump(-1, ' ', /*ensure_ascii=*/true) + ": ";
      append(Json(member), deeper, text);
      before = ",";
    }
    text += line_break + "}";
  } else if (value.is_array() && !value.empty()) {
    const char* before = "[";
    for (const Json& element : value) {
      text += before + deeper;
      append(element, deeper, text);
      before = ",";
    }
    text += line_break + "]";
  } else if (value.is_number_float()) {
    text += number_text(value.get<double>());
  } else {
    text += value.dump(-1, ' ', /*ensure_ascii=*/true);
  }
}

}  // namespace

std::string python_json_text(const Json& value) {
  std::string text;
  append(value, "\n", text);
  return text;
}

}  // namespace m3d
