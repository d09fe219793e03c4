#include "suite/weights/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "common/strict_yaml.h"

namespace m3d {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

struct TypeName {
  const char* name;
  torch::ScalarType type;
};

constexpr TypeName kTypes[] = {{"F64", torch::kFloat64}, {"F32", torch::kFloat32},   {"F16", torch::kFloat16},
                               {"BF16", torch::kBFloat16}, {"I64", torch::kInt64},   {"I32", torch::kInt32},
                               {"I16", torch::kInt16},   {"I8", torch::kInt8},       {"U8", torch::kUInt8},
                               {"BOOL", torch::kBool}};

torch::ScalarType type_of(const std::string& name) {
  for (const auto& entry : kTypes)
    if (name == entry.name) return entry.type;
  throw std::runtime_error("unknown data type " + name);
}

std::string name_of(torch::ScalarType type) {
  for (const auto& entry : kTypes)
    if (type == entry.type) return entry.name;
  throw std::runtime_error(std::string("safetensors has no type for ") + torch::toString(type));
}

constexpr std::size_t kLengthBytes = 8;

std::uint64_t header_length(const std::string& bytes) {
  std::uint64_t length = 0;
  if (bytes.size() >= kLengthBytes) std::memcpy(&length, bytes.data(), kLengthBytes);
  return length;
}

torch::Tensor tensor_of(const Json& entry, std::string_view data) {
  const auto type = type_of(entry.at("dtype"));
  const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
  const auto begin = entry.at("data_offsets").at(0).get<std::uint64_t>();
  const auto end = entry.at("data_offsets").at(1).get<std::uint64_t>();
  std::uint64_t bytes = torch::elementSize(type);
  for (const auto size : shape) {
    if (size < 0 || (size > 0 && bytes > data.size() / static_cast<std::uint64_t>(size)))
      throw std::runtime_error("a shape that does not fit the file: " + entry.at("shape").dump());
    bytes *= static_cast<std::uint64_t>(size);
  }
  if (begin > end || end > data.size() || end - begin != bytes)
    throw std::runtime_error("data_offsets " + entry.at("data_offsets").dump() + " do not fit shape " +
                             entry.at("shape").dump() + " or the file");
  auto tensor = torch::empty(shape, type);
  std::memcpy(tensor.data_ptr(), data.data() + begin, bytes);
  return tensor;
}

}  // namespace

bool looks_like_safetensors(const std::string& bytes) {
  const std::uint64_t length = header_length(bytes);
  return bytes.size() > kLengthBytes && length >= 2 && length <= bytes.size() - kLengthBytes &&
         bytes[kLengthBytes] == '{';
}

NamedTensors read_safetensors(const std::string& bytes) {
  const auto length = static_cast<std::size_t>(header_length(bytes));
  const auto header = nlohmann::ordered_json::parse(bytes.substr(kLengthBytes, length));
  const auto data = std::string_view(bytes).substr(kLengthBytes + length);
  NamedTensors tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      tensors.emplace_back(name, tensor_of(entry, data));
    } catch (const std::exception& error) {
      throw std::runtime_error("tensor '" + name + "': " + error.what());
    }
  }
  return tensors;
}

std::string safetensors_bytes(const NamedTensors& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const auto plain = tensor.detach().to(torch::kCPU).contiguous();
    const std::size_t begin = data.size();
    data.append(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
    header[name] = {{"dtype", name_of(plain.scalar_type())},
                    {"shape", plain.sizes().vec()},
                    {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data starts aligned
  const std::uint64_t length = text.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + text + data;
}

}  // namespace m3d
