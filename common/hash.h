#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace m3d {

/// FNV-1a, 64 bits, of the bytes of `text`.
std::uint64_t fnv1a64(std::string_view text);

/// One step of splitmix64 applied to `x` (Steele et al. 2014): the mixer behind every counter-based random number.
std::uint64_t splitmix64(std::uint64_t x);

/// The identity of a canonical text (a resolved configuration): 16 hexadecimal digits.
std::string content_hash(std::string_view canonical_text);

}  // namespace m3d
