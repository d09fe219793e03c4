#pragma once
// The layout of a safetensors file (safetensors.h), without LibTorch.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace m3d {

/// One tensor of the file. `data` points into the bytes that were read and has the size that type and shape ask for.
struct SafetensorsEntry {
  std::string name;
  std::string type;  // "F32", "BF16" …
  std::vector<std::int64_t> shape;
  std::string_view data;
};

/// Bytes of the number before the header.
inline constexpr std::size_t kSafetensorsLengthBytes = 8;

bool looks_like_safetensors(std::string_view bytes);

/// In the header's order. Throws std::runtime_error naming the tensor for damage and types that the format lacks.
std::vector<SafetensorsEntry> safetensors_entries(std::string_view bytes);

}  // namespace m3d
