#include "suite/weights/pytorch_file.h"

#include <caffe2/serialize/in_memory_adapter.h>
#include <caffe2/serialize/inline_container.h>

#include <cstring>
#include <map>
#include <stdexcept>

namespace m3d {
namespace {

// The magic number 0x1950a86a20f9469cfc6c as a pickle of protocol 2.
constexpr std::string_view kLegacyMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);

torch::Tensor new_storage(torch::ScalarType type, std::int64_t numel) {
  if (numel < 0) throw std::runtime_error("a storage of negative size");
  return torch::empty({numel}, type);
}

std::string storage_name(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return "FloatStorage";
    case torch::kFloat64:
      return "DoubleStorage";
    case torch::kFloat16:
      return "HalfStorage";
    case torch::kBFloat16:
      return "BFloat16Storage";
    case torch::kInt64:
      return "LongStorage";
    case torch::kInt32:
      return "IntStorage";
    case torch::kBool:
      return "BoolStorage";
    default:
      throw std::runtime_error(std::string("no PyTorch storage for ") + torch::toString(type));
  }
}

void put_integers(PickleWriter& pickle, torch::IntArrayRef numbers) {
  pickle.begin();
  for (const auto number : numbers) pickle.integer(number);
  pickle.end_tuple();
}

/// A tensor whose storage is the zip's record data/<key>, as torch.save writes it.
void put_tensor(PickleWriter& pickle, const torch::Tensor& tensor, std::size_t key) {
  pickle.global("torch._utils", "_rebuild_tensor_v2");
  pickle.begin();
  pickle.begin();
  pickle.text("storage");
  pickle.global("torch", storage_name(tensor.scalar_type()));
  pickle.text(std::to_string(key));
  pickle.text("cpu");
  pickle.integer(tensor.numel());
  pickle.end_tuple();
  pickle.persistent_id();
  pickle.integer(0);
  put_integers(pickle, tensor.sizes());
  put_integers(pickle, tensor.strides());
  pickle.boolean(false);  // requires_grad
  pickle.global("collections", "OrderedDict");
  pickle.begin();
  pickle.end_tuple();
  pickle.call();
  pickle.end_tuple();
  pickle.call();
}

}  // namespace

bool looks_like_pytorch_zip(const std::string& bytes) { return bytes.starts_with("PK\x03\x04"); }

bool looks_like_legacy_pytorch(const std::string& bytes) { return bytes.starts_with(kLegacyMagic); }

PicklePointer read_pytorch_zip(const std::string& bytes) {
  caffe2::serialize::PyTorchStreamReader zip(
      std::make_shared<caffe2::serialize::MemoryReadAdapter>(bytes.data(), static_cast<off_t>(bytes.size())));
  std::map<std::string, torch::Tensor> storages;
  const StorageReader storage = [&](const std::string& key, torch::ScalarType type, std::int64_t numel) {
    const auto known = storages.find(key);
    if (known != storages.end()) return known->second;
    const auto [data, size] = zip.getRecord("data/" + key);
    const auto tensor = new_storage(type, numel);
    if (size < tensor.nbytes()) throw std::runtime_error("storage " + key + " is shorter than it says");
    std::memcpy(tensor.data_ptr(), data.get(), tensor.nbytes());
    return storages[key] = tensor;
  };
  const auto [data, size] = zip.getRecord("data.pkl");
  std::size_t position = 0;
  return read_pickled_tensors({static_cast<const char*>(data.get()), size}, position, storage);
}

PicklePointer read_legacy_pytorch(const std::string& bytes) {
  std::map<std::string, torch::Tensor> storages;
  const StorageReader storage = [&](const std::string& key, torch::ScalarType type, std::int64_t numel) {
    if (static_cast<std::uint64_t>(numel) > bytes.size()) throw std::runtime_error("storage " + key + " is cut off");
    const auto known = storages.find(key);
    return known != storages.end() ? known->second : storages[key] = new_storage(type, numel);
  };
  std::size_t position = 0;
  for (int i = 0; i < 3; ++i) read_pickled_tensors(bytes, position, storage);  // magic number, version, machine
  const auto object = read_pickled_tensors(bytes, position, storage);
  const auto keys = read_pickled_tensors(bytes, position, storage);
  for (const auto& key : keys->items) {
    const auto found = storages.find(key->text);
    if (found == storages.end()) throw std::runtime_error("storage " + key->text + " belongs to no tensor");
    const std::size_t size = found->second.nbytes();
    position += sizeof(std::int64_t);  // its number of values
    if (position > bytes.size() || size > bytes.size() - position)
      throw std::runtime_error("storage " + key->text + " is cut off");
    std::memcpy(found->second.data_ptr(), bytes.data() + position, size);
    position += size;
  }
  return object;
}

std::string pytorch_bytes(const NamedTensors& tensors) {
  std::string bytes;
  caffe2::serialize::PyTorchStreamWriter zip([&](const void* data, std::size_t size) {
    bytes.append(static_cast<const char*>(data), size);
    return size;
  });
  PickleWriter pickle(2);
  std::vector<torch::Tensor> plain;
  pickle.begin();
  for (const auto& [name, tensor] : tensors) {
    plain.push_back(tensor.detach().to(torch::kCPU).contiguous());
    pickle.text(name);
    put_tensor(pickle, plain.back(), plain.size() - 1);
  }
  pickle.end_dictionary();
  const std::string text = pickle.finished();
  zip.writeRecord("data.pkl", text.data(), text.size());
  for (std::size_t i = 0; i < plain.size(); ++i)
    zip.writeRecord("data/" + std::to_string(i), plain[i].const_data_ptr(), plain[i].nbytes());
  zip.writeEndOfFile();
  return bytes;
}

}  // namespace m3d
