#pragma once
// nnU-Net's cross-validation folds (nnunet_conventions.md §12), as indices into the sorted case ids.
#include <cstdint>
#include <vector>

namespace m3d {

/// The validation side of each of the five folds, ascending: KFold(5, shuffle, random_state 12345). Requires cases
/// >= 5.
std::vector<std::vector<std::int64_t>> kfold_validation(std::int64_t cases);

}  // namespace m3d
