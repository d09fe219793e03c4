#include "suite/weights/pickled_tensors.h"

#include <map>
#include <stdexcept>

namespace m3d {
namespace {

using Kind = PickleValue::Kind;

PicklePointer tensor_value(torch::Tensor tensor) {
  auto value = std::make_shared<PickleValue>();
  value->kind = Kind::object;
  value->object = std::move(tensor);
  return value;
}

torch::ScalarType storage_type(const std::string& global) {
  static const std::map<std::string, torch::ScalarType> types = {
      {"torch.FloatStorage", torch::kFloat32}, {"torch.DoubleStorage", torch::kFloat64},
      {"torch.HalfStorage", torch::kFloat16},  {"torch.BFloat16Storage", torch::kBFloat16},
      {"torch.LongStorage", torch::kInt64},    {"torch.IntStorage", torch::kInt32},
      {"torch.ShortStorage", torch::kInt16},   {"torch.CharStorage", torch::kInt8},
      {"torch.ByteStorage", torch::kUInt8},    {"torch.BoolStorage", torch::kBool}};
  const auto found = types.find(global);
  if (found == types.end()) throw std::runtime_error("it holds tensors of the type " + global);
  return found->second;
}

std::vector<std::int64_t> integers(const PickleValue& value) {
  std::vector<std::int64_t> numbers;
  for (const auto& item : value.items) {
    if (item->kind != Kind::integer) damaged_pickle("a tensor's sizes are no integers");
    numbers.push_back(item->integer);
  }
  return numbers;
}

/// torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …): a view of the storage, inside its bounds.
PicklePointer rebuilt_tensor(const std::vector<PicklePointer>& arguments) {
  const torch::Tensor* storage = arguments.size() < 4 ? nullptr : tensor_of(*arguments[0]);
  if (storage == nullptr || arguments[1]->kind != Kind::integer) damaged_pickle("a tensor without storage");
  const std::int64_t offset = arguments[1]->integer;
  const auto sizes = integers(*arguments[2]), strides = integers(*arguments[3]);
  if (sizes.size() != strides.size() || offset < 0) damaged_pickle("a tensor's sizes and strides do not match");
  std::int64_t last = offset;
  bool empty = false;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || strides[i] < 0) damaged_pickle("a negative size or stride");
    empty = empty || sizes[i] == 0;
    std::int64_t step = 0;
    if (sizes[i] > 0 &&
        (__builtin_mul_overflow(sizes[i] - 1, strides[i], &step) || __builtin_add_overflow(last, step, &last)))
      damaged_pickle("a tensor reaches beyond its storage");
  }
  if (!empty && last >= storage->numel()) damaged_pickle("a tensor reaches beyond its storage");
  return tensor_value(storage->as_strided(sizes, strides, offset));
}

/// ('storage', type, key, location, numel): PyTorch's only persistent ids.
PicklePointer storage_of(const PickleValue& id, const StorageReader& storage) {
  const auto& items = id.items;
  if (items.size() < 5 || items[0]->text != "storage" || items[4]->kind != Kind::integer)
    damaged_pickle("an unknown kind of persistent id");
  return tensor_value(storage(items[2]->text, storage_type(items[1]->text), items[4]->integer));
}

PicklePointer called(const std::string& name, const std::vector<PicklePointer>& arguments) {
  if (name == "torch._utils._rebuild_tensor_v2" || name == "torch._utils._rebuild_tensor")
    return rebuilt_tensor(arguments);
  const bool passes_on = name == "torch._utils._rebuild_parameter" || name == "torch.jit._pickle.restore_type_tag";
  return passes_on && !arguments.empty() ? arguments[0] : nullptr;
}

}  // namespace

PicklePointer read_pickled_tensors(std::string_view bytes, std::size_t& position, const StorageReader& storage) {
  return read_pickle(bytes, position, {called, [&](const PickleValue& id) { return storage_of(id, storage); }});
}

const torch::Tensor* tensor_of(const PickleValue& value) { return std::any_cast<torch::Tensor>(&value.object); }

}  // namespace m3d
