#include "suite/weights/safetensors.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "common/strict_yaml.h"

namespace m3d {
namespace {

struct TypeName {
  const char* name;
  torch::ScalarType type;
};

constexpr TypeName kTypes[] = {{"F64", torch::kFloat64},   {"F32", torch::kFloat32}, {"F16", torch::kFloat16},
                               {"BF16", torch::kBFloat16}, {"I64", torch::kInt64},   {"I32", torch::kInt32},
                               {"I16", torch::kInt16},     {"I8", torch::kInt8},     {"U8", torch::kUInt8},
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

torch::Tensor tensor_of(const SafetensorsEntry& entry) {
  auto tensor = torch::empty(entry.shape, type_of(entry.type));
  std::memcpy(tensor.data_ptr(), entry.data.data(), entry.data.size());
  return tensor;
}

}  // namespace

NamedTensors read_safetensors(const std::string& bytes) {
  NamedTensors tensors;
  for (const SafetensorsEntry& entry : safetensors_entries(bytes)) tensors.emplace_back(entry.name, tensor_of(entry));
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
  std::string bytes(kSafetensorsLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kSafetensorsLengthBytes);
  return bytes + text + data;
}

}  // namespace m3d
