#pragma once
// The safetensors format: 8 bytes little-endian length, a JSON header {name: {dtype, shape, data_offsets}}, the data.
// https://huggingface.co/docs/safetensors
#include <string>

#include "suite/weights/safetensors_header.h"
#include "suite/weights/state_file.h"

namespace m3d {

/// Throws std::runtime_error saying what is wrong with it.
NamedTensors read_safetensors(const std::string& bytes);
/// Names in the order given, data without gaps.
std::string safetensors_bytes(const NamedTensors& tensors);

}  // namespace m3d
