#include "suite/evaluate/label_rows.h"

#include <algorithm>

#include "datasets/numerics/vector_clones.h"

namespace m3d {
namespace {

// Places looked at together before a change among them is searched for.
constexpr std::int64_t kTogether = 32;

}  // namespace

M3D_VECTOR_CLONES
std::int64_t run_end(const std::int16_t* a, const std::int16_t* b, std::int64_t x, std::int64_t width) {
  const std::int16_t of_a = a[x], of_b = b[x];
  std::int64_t past = x + 1;
  for (; past + kTogether <= width; past += kTogether) {
    std::int16_t changes = 0;
    for (std::int64_t i = 0; i < kTogether; ++i)
      changes = static_cast<std::int16_t>(changes | (a[past + i] ^ of_a) | (b[past + i] ^ of_b));
    if (changes != 0) break;
  }
  while (past < width && a[past] == of_a && b[past] == of_b) ++past;
  return past;
}

M3D_VECTOR_CLONES
void mark_members(const std::int16_t* labels, std::int64_t width, const std::vector<int>& values, std::uint8_t* mask) {
  std::fill(mask, mask + width, std::uint8_t{0});
  for (const int value : values) {
    const auto label = static_cast<std::int16_t>(value);
    for (std::int64_t x = 0; x < width; ++x) mask[x] = static_cast<std::uint8_t>(mask[x] | (labels[x] == label));
  }
}

M3D_VECTOR_CLONES
void mark_surface(const std::uint8_t* mask, std::int64_t width, std::int64_t row, std::int64_t plane,
                  std::uint8_t* __restrict__ surface) {
  for (std::int64_t x = 0; x < width; ++x) {
    const int inside = mask[x - 1] & mask[x + 1] & mask[x - row] & mask[x + row] & mask[x - plane] & mask[x + plane];
    surface[x] = static_cast<std::uint8_t>(mask[x] & (inside ^ 1));
  }
}

}  // namespace m3d
