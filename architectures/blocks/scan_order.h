#pragma once
// The orders in which a scan reads voxel tokens, as one table of permutations. A new order is one entry in the table.
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "architectures/blocks/layers.h"

namespace m3d {

/// Where a random order comes from.
enum class RandomOrder {
  fixed,     // one permutation for each length, from the network's seed
  per_call,  // a fresh one at every call, inference included (as the released code does), from seed and call number
  reference  // that of the reference records: stable argsort of u("perm", i)
};

/// Axes sorted from slowest to fastest (0 = D, 1 = H, 2 = W), then dealt out in slices, then reversed if asked; or
/// random.
struct ScanOrder {
  std::string name;
  std::array<int, 3> axes{0, 1, 2};
  bool reversed = false;
  bool random = false;
  std::int64_t slices = 1;  // equal pieces of the sequence, of which the first tokens are read, then the second ones, …

  bool is_identity() const { return axes == std::array<int, 3>{0, 1, 2} && !reversed && !random && slices == 1; }
  /// Whether the tokens still form a grid: the volume turned or mirrored.
  bool is_turn() const { return !random && slices == 1; }
  /// The grid whose row-major tokens this order lists; random orders keep the grid.
  Grid permuted(const Grid& grid) const { return {grid[axes[0]], grid[axes[1]], grid[axes[2]]}; }
};

/// "dhw" (row-major) and the other five sequences of axes, "reversed", "random"; throws std::logic_error for another.
const ScanOrder& scan_order(const std::string& name);
/// `order` read from its end.
ScanOrder reversed(ScanOrder order);
/// Row-major tokens in `slices` equal pieces, one token of each in turn (SegMamba, arXiv:2401.13560).
ScanOrder sliced_order(std::int64_t slices);

/// A permutation of tokens and its inverse, both [L] of kLong on the CPU.
struct TokenPermutation {
  torch::Tensor forward, inverse;
  TokenPermutation inverted() const { return {inverse, forward}; }
};

/// `permutation[i]` is the row-major (D, H, W) token read at position i. `call` matters for per_call only. Throws
/// UserError where the tokens cannot be cut into the order's slices.
std::vector<std::int64_t> permutation_of(const ScanOrder& order, const Grid& grid, RandomOrder random,
                                         std::uint64_t seed, std::uint64_t call = 0);

/// The same as tensors, kept for the life of the process (except per_call): layers of one grid share them.
std::shared_ptr<const TokenPermutation> token_permutation(const ScanOrder& order, const Grid& grid, RandomOrder random,
                                                          std::uint64_t seed, std::uint64_t call);

/// The order as selective_scan takes it, [1, copies * L] int32: `copies` sequences of L tokens one after the other,
/// each in this order.
torch::Tensor scan_table(const TokenPermutation& permutation, std::int64_t copies);

/// tokens [B, L, C] → [B, L, C] with token i taken from permutation.forward[i]. Differentiable; the gradient is the
/// gather with the inverse, so that nothing is scattered.
torch::Tensor gather_tokens(const torch::Tensor& tokens, const TokenPermutation& permutation);

}  // namespace m3d
