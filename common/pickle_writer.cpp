#include <bit>

#include "common/pickle.h"

namespace m3d {

PickleWriter::PickleWriter(int protocol) {
  put("\x80");
  raw(static_cast<std::uint8_t>(protocol));
}

void PickleWriter::integer(std::int64_t value) { put("\x8a"), raw(std::uint8_t{8}), raw(value); }

void PickleWriter::number(double value) { put("G"), raw(__builtin_bswap64(std::bit_cast<std::uint64_t>(value))); }

void PickleWriter::text(std::string_view value) { put("X"), raw(static_cast<std::uint32_t>(value.size())), put(value); }

void PickleWriter::bytes(std::string_view value) {
  put("\x8e"), raw(static_cast<std::uint64_t>(value.size())), put(value);
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  put("c"), put(module), put("\n"), put(name), put("\n");
}

}  // namespace m3d
