#pragma once
// What a pickle holds, as plain data.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace m3d {

struct PickleValue;
using PicklePointer = std::shared_ptr<PickleValue>;

/// Lists, tuples and sets are all `sequence`. A class or function is a `global` with its name in `text`; what an
/// unknown one would have made is `opaque` with that name.
struct PickleValue {
  enum class Kind { none, boolean, integer, number, text, sequence, dictionary, global, opaque, tensor };
  Kind kind = Kind::none;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<PicklePointer> items;
  std::vector<std::pair<PicklePointer, PicklePointer>> entries;
  torch::Tensor tensor;
};

/// The memory of a storage, one-dimensional, in its own type.
using StorageReader = std::function<torch::Tensor(const std::string& key, torch::ScalarType type, std::int64_t numel)>;

/// Reads one pickle from `bytes` at `position` and moves it behind the pickle's end. Nothing in it is called. Throws
/// std::runtime_error for damage and for opcodes that data does not need.
PicklePointer read_pickle(std::string_view bytes, std::size_t& position, const StorageReader& storage);

}  // namespace m3d
