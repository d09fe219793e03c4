#pragma once
// Tensors in pickles, as PyTorch writes them.
#include <torch/torch.h>

#include "common/pickle.h"

namespace m3d {

/// The memory of a storage, one-dimensional, in its own type.
using StorageReader = std::function<torch::Tensor(const std::string& key, torch::ScalarType type, std::int64_t numel)>;

/// read_pickle, with tensors: views of their storages. Throws std::runtime_error as it does, and for tensors that reach
/// beyond their storage.
PicklePointer read_pickled_tensors(std::string_view bytes, std::size_t& position, const StorageReader& storage);

/// The tensor that a value is; null for other values.
const torch::Tensor* tensor_of(const PickleValue& value);

}  // namespace m3d
