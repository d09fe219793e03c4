#include "suite/weights/safetensors_header.h"

#include <bit>
#include <cstring>
#include <stdexcept>

#include "common/strict_yaml.h"

namespace m3d {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

struct TypeSize {
  std::string_view name;
  std::uint64_t bytes;
};

constexpr TypeSize kTypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                               {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};

std::uint64_t size_of(const std::string& type) {
  for (const TypeSize& known : kTypes)
    if (type == known.name) return known.bytes;
  throw std::runtime_error("unknown data type " + type);
}

std::uint64_t header_length(std::string_view bytes) {
  std::uint64_t length = 0;
  if (bytes.size() >= kSafetensorsLengthBytes) std::memcpy(&length, bytes.data(), kSafetensorsLengthBytes);
  return length;
}

SafetensorsEntry entry_of(const std::string& name, const Json& json, std::string_view data) {
  SafetensorsEntry entry{name, json.at("dtype"), json.at("shape").get<std::vector<std::int64_t>>(), {}};
  const auto begin = json.at("data_offsets").at(0).get<std::uint64_t>();
  const auto end = json.at("data_offsets").at(1).get<std::uint64_t>();
  std::uint64_t bytes = size_of(entry.type);
  for (const auto size : entry.shape) {
    if (size < 0 || (size > 0 && bytes > data.size() / static_cast<std::uint64_t>(size)))
      throw std::runtime_error("a shape that does not fit the file: " + json.at("shape").dump());
    bytes *= static_cast<std::uint64_t>(size);
  }
  if (begin > end || end > data.size() || end - begin != bytes)
    throw std::runtime_error("data_offsets " + json.at("data_offsets").dump() + " do not fit shape " +
                             json.at("shape").dump() + " or the file");
  entry.data = data.substr(begin, bytes);
  return entry;
}

}  // namespace

bool looks_like_safetensors(std::string_view bytes) {
  const std::uint64_t length = header_length(bytes);
  return bytes.size() > kSafetensorsLengthBytes && length >= 2 && length <= bytes.size() - kSafetensorsLengthBytes &&
         bytes[kSafetensorsLengthBytes] == '{';
}

std::vector<SafetensorsEntry> safetensors_entries(std::string_view bytes) {
  if (!looks_like_safetensors(bytes)) throw std::runtime_error("no header in braces that fits into the file");
  const auto length = static_cast<std::size_t>(header_length(bytes));
  const auto header = nlohmann::ordered_json::parse(bytes.substr(kSafetensorsLengthBytes, length));
  const std::string_view data = bytes.substr(kSafetensorsLengthBytes + length);
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      entries.push_back(entry_of(name, json, data));
    } catch (const std::exception& error) {
      throw std::runtime_error("tensor '" + name + "': " + error.what());
    }
  }
  return entries;
}

}  // namespace m3d
