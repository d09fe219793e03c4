#include "datasets/images/text_header.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "common/error.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLongestLine = 4096, kLongestHeader = std::size_t{256} << 10;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

}  // namespace

void TextHeader::add(const std::string& name, const std::string& value) {
  if (!fields_.emplace(name, value).second) throw error(name, "the field once, found it twice");
}

std::string TextHeader::text(std::initializer_list<const char*> names) const {
  for (const char* name : names)
    if (const auto found = fields_.find(name); found != fields_.end()) return found->second;
  return {};
}

std::vector<double> TextHeader::numbers(std::initializer_list<const char*> names, std::size_t count,
                                        std::vector<double> fallback) const {
  std::string value = text(names);
  if (value.empty()) return fallback;
  std::replace_if(
      value.begin(), value.end(), [](char c) { return c == ',' || c == '(' || c == ')'; }, ' ');
  std::vector<double> result;
  const char* at = value.c_str();
  for (char* end = nullptr;; at = end) {
    const double number = std::strtod(at, &end);
    if (end == at) break;
    result.push_back(number);
  }
  if (result.size() != count || !trimmed(at).empty())
    throw error(*std::find_if(names.begin(), names.end(), [&](const char* name) { return has(name); }),
                std::to_string(count) + " numbers");
  return result;
}

std::int64_t TextHeader::whole(const char* name, std::int64_t fallback) const {
  const double value = numbers({name}, 1, {static_cast<double>(fallback)}).front();
  if (value != std::floor(value) || std::abs(value) > 1e15) throw error(name, "a whole number");
  return static_cast<std::int64_t>(value);
}

UserError TextHeader::error(const std::string& field, const std::string& expected) const {
  const auto found = fields_.find(field);
  std::string value = "nothing";
  if (found != fields_.end()) value.assign(1, '"').append(found->second, 0, 80).append(1, '"');
  return UserError(file_.string() + ": field \"" + field + "\" of its header: expected " + expected + ", found " +
                   value + "; correct the header or convert the image to .nii.gz");
}

bool next_line(ByteStream& stream, std::string& line) {
  line.clear();
  for (char c = 0; stream.read(&c, 1) == 1;) {
    if (c == '\n') {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      return true;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (line.size() == kLongestLine || stream.position() > kLongestHeader || (byte < ' ' && c != '\t' && c != '\r'))
      throw UserError(stream.file().string() +
                      ": its header is not text of reasonable length; is it of another format than its name says?");
    line += c;
  }
  return !line.empty();
}

std::vector<std::int64_t> sizes_in(const TextHeader& header, const char* field, std::size_t count) {
  std::vector<std::int64_t> sizes;
  for (const double size : header.numbers({field}, count, {})) {
    if (!(size >= 1) || size > 2147483647.0 || size != std::floor(size))
      throw header.error(field, "whole numbers above 0");
    sizes.push_back(static_cast<std::int64_t>(size));
  }
  if (sizes.empty()) throw header.error(field, std::to_string(count) + " whole numbers");
  return sizes;
}

fs::path beside(const TextHeader& header, const std::string& name) {
  const bool pattern = name.find('%') != std::string::npos || name.starts_with("LIST");
  if (name.empty() || pattern || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\\') != std::string::npos)
    throw UserError(header.file().string() + ": names \"" + name.substr(0, 80) +
                    "\" as the file of its voxels; expected the plain name of one file in the same folder; join "
                    "several files into one (convert the image to .nii.gz)");
  return header.file().parent_path() / name;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

}  // namespace m3d
