#include "architectures/blocks/scan_order.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <stdexcept>

#include "common/error.h"
#include "common/random.h"

namespace m3d {
namespace {

const std::vector<ScanOrder>& order_table() {
  static const std::vector<ScanOrder> table = {{"dhw", {0, 1, 2}},
                                               {"dwh", {0, 2, 1}},
                                               {"hdw", {1, 0, 2}},
                                               {"hwd", {1, 2, 0}},
                                               {"wdh", {2, 0, 1}},
                                               {"whd", {2, 1, 0}},
                                               {"reversed", {0, 1, 2}, true},
                                               {"random", {0, 1, 2}, false, true}};
  return table;
}

std::vector<std::int64_t> axis_permutation(const std::array<int, 3>& axes, const Grid& grid) {
  const Grid stride{grid[1] * grid[2], grid[2], 1};
  std::vector<std::int64_t> permutation;
  permutation.reserve(static_cast<std::size_t>(voxels(grid)));
  for (std::int64_t i = 0; i < grid[axes[0]]; ++i)
    for (std::int64_t j = 0; j < grid[axes[1]]; ++j)
      for (std::int64_t k = 0; k < grid[axes[2]]; ++k)
        permutation.push_back(i * stride[axes[0]] + j * stride[axes[1]] + k * stride[axes[2]]);
  return permutation;
}

/// One token of each of `slices` equal pieces in turn.
std::vector<std::int64_t> dealt_out(const std::vector<std::int64_t>& tokens, std::int64_t slices) {
  const auto length = static_cast<std::int64_t>(tokens.size()), piece = length / slices;
  if (piece * slices != length)
    throw UserError("scan order: " + std::to_string(length) + " tokens cannot be cut into " + std::to_string(slices) +
                    " equal slices");
  std::vector<std::int64_t> permutation;
  permutation.reserve(tokens.size());
  for (std::int64_t i = 0; i < piece; ++i)
    for (std::int64_t slice = 0; slice < slices; ++slice) permutation.push_back(tokens[slice * piece + i]);
  return permutation;
}

/// Fisher-Yates.
std::vector<std::int64_t> shuffled(std::int64_t length, RandomStream stream) {
  std::vector<std::int64_t> permutation(static_cast<std::size_t>(length));
  std::iota(permutation.begin(), permutation.end(), 0);
  for (std::int64_t i = length - 1; i > 0; --i) std::swap(permutation[i], permutation[stream.integer(0, i)]);
  return permutation;
}

std::vector<std::int64_t> reference_order(std::int64_t length) {
  std::vector<double> key(static_cast<std::size_t>(length));
  const NamedUniform uniform("perm");
  for (std::int64_t i = 0; i < length; ++i) key[i] = uniform(static_cast<std::uint64_t>(i));
  std::vector<std::int64_t> permutation(key.size());
  std::iota(permutation.begin(), permutation.end(), 0);
  std::stable_sort(permutation.begin(), permutation.end(), [&](auto a, auto b) { return key[a] < key[b]; });
  return permutation;
}

std::shared_ptr<const TokenPermutation> as_tensors(const std::vector<std::int64_t>& permutation) {
  const auto length = static_cast<std::int64_t>(permutation.size());
  auto result = std::make_shared<TokenPermutation>();
  result->forward = torch::tensor(permutation, torch::kLong);
  result->inverse = torch::empty({length}, torch::kLong);
  auto* inverse = result->inverse.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < length; ++i) inverse[permutation[i]] = i;
  return result;
}

torch::Tensor gather_rows(const torch::Tensor& given, const torch::Tensor& index) {
  if (given.is_meta()) return torch::empty_like(given, torch::MemoryFormat::Contiguous);
  if (!given.is_cpu()) return given.index_select(1, index.to(given.device()));
  const auto tokens = given.contiguous();
  auto gathered = torch::empty_like(tokens);
  const std::int64_t length = tokens.size(1);
  const auto row = static_cast<std::size_t>(tokens.size(2) * tokens.element_size());
  const auto* from = static_cast<const char*>(tokens.const_data_ptr());
  auto* to = static_cast<char*>(gathered.mutable_data_ptr());
  const auto* order = index.const_data_ptr<std::int64_t>();
  at::parallel_for(0, tokens.size(0) * length, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t source = i / length * length + order[i % length];
      std::memcpy(to + static_cast<std::size_t>(i) * row, from + static_cast<std::size_t>(source) * row, row);
    }
  });
  return gathered;
}

class GatherTokens : public torch::autograd::Function<GatherTokens> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& index, const torch::Tensor& inverse) {
    context->saved_data["inverse"] = inverse;
    return gather_rows(tokens, index);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradient) {
    return {gather_rows(gradient[0], context->saved_data["inverse"].toTensor()), {}, {}};
  }
};

}  // namespace

const ScanOrder& scan_order(const std::string& name) {
  for (const auto& order : order_table())
    if (order.name == name) return order;
  throw std::logic_error("no scan order named " + name);
}

ScanOrder reversed(ScanOrder order) {
  order.name = order.name == "dhw" ? "reversed" : order.name + " reversed";
  order.reversed = !order.reversed;
  return order;
}

ScanOrder sliced_order(std::int64_t slices) {
  ScanOrder order = scan_order("dhw");
  order.name = std::to_string(slices) + " slices";
  order.slices = slices;
  return order;
}

std::vector<std::int64_t> permutation_of(const ScanOrder& order, const Grid& grid, RandomOrder random,
                                         std::uint64_t seed, std::uint64_t call) {
  const std::int64_t length = voxels(grid);
  if (order.random && random == RandomOrder::reference) return reference_order(length);
  if (order.random) {
    const std::string stream = "scan order of " + std::to_string(length) + " tokens";
    return shuffled(length, RandomStream(seed, stream, random == RandomOrder::per_call ? call + 1 : 0));
  }
  auto permutation = axis_permutation(order.axes, grid);
  if (order.slices > 1) permutation = dealt_out(permutation, order.slices);
  if (order.reversed) std::reverse(permutation.begin(), permutation.end());
  return permutation;
}

std::shared_ptr<const TokenPermutation> token_permutation(const ScanOrder& order, const Grid& grid, RandomOrder random,
                                                          std::uint64_t seed, std::uint64_t call) {
  if (order.random && random == RandomOrder::per_call)
    return as_tensors(permutation_of(order, grid, random, seed, call));
  using Key = std::tuple<std::array<int, 3>, bool, bool, std::int64_t, Grid, bool, std::uint64_t>;
  static std::map<Key, std::shared_ptr<const TokenPermutation>> known;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  auto& entry = known[Key{order.axes, order.reversed, order.random, order.slices, grid,
                          random == RandomOrder::reference, order.random ? seed : 0}];
  if (!entry) entry = as_tensors(permutation_of(order, grid, random, seed));
  return entry;
}

torch::Tensor scan_table(const TokenPermutation& permutation, std::int64_t copies) {
  const auto order = permutation.forward.to(torch::kInt);
  const auto starts = torch::arange(copies, torch::kInt) * order.numel();
  return (starts.unsqueeze(1) + order).view({1, -1});
}

torch::Tensor gather_tokens(const torch::Tensor& tokens, const TokenPermutation& permutation) {
  return GatherTokens::apply(tokens, permutation.forward, permutation.inverse);
}

}  // namespace m3d
