#pragma once
// PyTorch's files of pickled tensors.
#include <filesystem>
#include <string>

#include "suite/weights/pickled_tensors.h"
#include "suite/weights/state_file.h"

namespace m3d {

/// The zip form: data.pkl and a record data/<key> a storage.
bool looks_like_pytorch_zip(const std::string& bytes);
/// The form before PyTorch 1.6: pickles of a magic number, a version, the machine, the object and its storages' keys,
/// then each storage as a 64-bit count and its values.
bool looks_like_legacy_pytorch(const std::string& bytes);

// What the file holds. Both throw std::exception saying what is wrong.
PicklePointer read_pytorch_zip(const std::string& bytes);
PicklePointer read_legacy_pytorch(const std::string& bytes);

/// The zip form of a dictionary from names to tensors.
std::string pytorch_bytes(const NamedTensors& tensors);

}  // namespace m3d
