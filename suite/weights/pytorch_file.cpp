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

/// Pickles a dictionary of tensors in protocol 2, as torch.save writes it.
class PickleWriter {
 public:
  PickleWriter() { put(std::string_view("\x80\x02}(", 4)); }

  void entry(const std::string& name, const torch::Tensor& tensor, std::size_t key) {
    text(name);
    global("torch._utils", "_rebuild_tensor_v2");
    put("((");
    text("storage");
    global("torch", storage_name(tensor.scalar_type()));
    text(std::to_string(key));
    text("cpu");
    integer(tensor.numel());
    put("tQ");
    integer(0);
    tuple(tensor.sizes());
    tuple(tensor.strides());
    put("\x89");  // requires_grad
    global("collections", "OrderedDict");
    put(")RtR");
  }
  std::string finished() { return bytes_ + "u."; }

 private:
  void put(std::string_view text) { bytes_ += text; }
  template <class Number>
  void raw(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void text(const std::string& content) {
    put("X"), raw(static_cast<std::uint32_t>(content.size())), put(content);
  }
  void integer(std::int64_t number) { put("\x8a"), raw(std::uint8_t{8}), raw(number); }
  void tuple(torch::IntArrayRef numbers) {
    put("(");
    for (const auto number : numbers) integer(number);
    put("t");
  }
  void global(const std::string& module, const std::string& name) { put("c" + module + "\n" + name + "\n"); }

  static std::string storage_name(torch::ScalarType type) {
    switch (type) {
      case torch::kFloat32: return "FloatStorage";
      case torch::kFloat64: return "DoubleStorage";
      case torch::kFloat16: return "HalfStorage";
      case torch::kBFloat16: return "BFloat16Storage";
      case torch::kInt64: return "LongStorage";
      case torch::kInt32: return "IntStorage";
      case torch::kBool: return "BoolStorage";
      default: throw std::runtime_error(std::string("no PyTorch storage for ") + torch::toString(type));
    }
  }

  std::string bytes_;
};

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
  return read_pickle({static_cast<const char*>(data.get()), size}, position, storage);
}

PicklePointer read_legacy_pytorch(const std::string& bytes) {
  std::map<std::string, torch::Tensor> storages;
  const StorageReader storage = [&](const std::string& key, torch::ScalarType type, std::int64_t numel) {
    if (static_cast<std::uint64_t>(numel) > bytes.size()) throw std::runtime_error("storage " + key + " is cut off");
    const auto known = storages.find(key);
    return known != storages.end() ? known->second : storages[key] = new_storage(type, numel);
  };
  std::size_t position = 0;
  for (int i = 0; i < 3; ++i) read_pickle(bytes, position, storage);  // magic number, version, machine
  const auto object = read_pickle(bytes, position, storage);
  const auto keys = read_pickle(bytes, position, storage);
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
  PickleWriter pickle;
  std::vector<torch::Tensor> plain;
  for (const auto& [name, tensor] : tensors) {
    plain.push_back(tensor.detach().to(torch::kCPU).contiguous());
    pickle.entry(name, plain.back(), plain.size() - 1);
  }
  const std::string text = pickle.finished();
  zip.writeRecord("data.pkl", text.data(), text.size());
  for (std::size_t i = 0; i < plain.size(); ++i)
    zip.writeRecord("data/" + std::to_string(i), plain[i].const_data_ptr(), plain[i].nbytes());
  zip.writeEndOfFile();
  return bytes;
}

}  // namespace m3d
