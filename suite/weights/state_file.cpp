#include "suite/weights/state_file.h"

#include <algorithm>
#include <array>

#include "common/atomic_file.h"
#include "common/error.h"
#include "suite/weights/pytorch_file.h"
#include "suite/weights/safetensors.h"

namespace m3d {
namespace {

bool holds_tensors(const PickleValue& value) {
  return std::any_of(value.entries.begin(), value.entries.end(),
                     [](const auto& entry) { return tensor_of(*entry.second) != nullptr; });
}

/// Keys of a dictionary, for messages.
std::string keys_of(const PickleValue& value) {
  std::string keys;
  for (const auto& [name, entry] : value.entries) keys += (keys.empty() ? "" : ", ") + name->text;
  return keys.empty() ? "none" : keys;
}

/// Where the tensors are, and the keys that lead there.
std::pair<const PickleValue*, std::string> find_tensors(const PickleValue& root) {
  static constexpr std::array usual = {"network_weights", "state_dict", "model_state_dict", "model"};
  for (const char* key : usual)
    if (const auto value = entry_of(root, key); value && holds_tensors(*value)) return {value.get(), key};
  if (holds_tensors(root)) return {&root, ""};
  for (const auto& [name, value] : root.entries)
    if (holds_tensors(*value)) return {value.get(), name->text};
  return {nullptr, ""};
}

const PickleValue& follow(const PickleValue& root, const std::string& place) {
  const PickleValue* value = &root;
  for (std::size_t begin = 0; begin <= place.size();) {
    const auto end = std::min(place.find('.', begin), place.size());
    const auto next = entry_of(*value, place.substr(begin, end - begin));
    if (!next) throw UserError("it has no '" + place.substr(begin, end - begin) + "'; keys there: " + keys_of(*value));
    value = next.get(), begin = end + 1;
  }
  return *value;
}

NamedTensors tensors_in(const PickleValue& dictionary) {
  NamedTensors tensors;
  for (const auto& [name, value] : dictionary.entries)
    if (const auto* tensor = tensor_of(*value); tensor && name->kind == PickleValue::Kind::text)
      tensors.emplace_back(name->text, *tensor);
  return tensors;
}

StateFile from_pickle(const std::string& format, const PicklePointer& root, const std::string& place) {
  auto [dictionary, found] = place.empty() ? find_tensors(*root) : std::pair(&follow(*root, place), place);
  if (!dictionary || !holds_tensors(*dictionary))
    throw UserError("it holds no tensors" + (place.empty() ? "" : " at '" + place + "'") + "; keys: " + keys_of(*root));
  return {format, found, tensors_in(*dictionary)};
}

StateFile parsed(const std::string& bytes, const std::string& place) {
  if (looks_like_pytorch_zip(bytes)) return from_pickle("pytorch", read_pytorch_zip(bytes), place);
  if (looks_like_legacy_pytorch(bytes)) return from_pickle("pytorch (legacy)", read_legacy_pytorch(bytes), place);
  if (looks_like_safetensors(bytes)) return {"safetensors", "", read_safetensors(bytes)};
  throw UserError("it is neither a safetensors nor a PyTorch file");
}

}  // namespace

StateFile read_state_file(const std::filesystem::path& file, const std::string& place) {
  const std::string bytes = read_file(file);
  try {
    return parsed(bytes, place);
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    throw UserError("cannot read weights from " + file.string() + ": " + reason.substr(0, reason.find('\n')));
  }
}

void write_state_file(const std::filesystem::path& file, const NamedTensors& tensors) {
  const auto ending = file.extension();
  const bool pytorch = ending == ".pt" || ending == ".pth";
  if (!pytorch && ending != ".safetensors")
    throw UserError(file.string() + ": weights are written as .safetensors, .pt or .pth");
  const std::string bytes = pytorch ? pytorch_bytes(tensors) : safetensors_bytes(tensors);
  write_atomically(file, bytes);
}

}  // namespace m3d
