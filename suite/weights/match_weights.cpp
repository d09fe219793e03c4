#include "suite/weights/match_weights.h"

#include <algorithm>
#include <map>
#include <regex>

#include "common/error.h"

namespace m3d {
namespace {

using TensorTable = std::map<std::string, torch::Tensor>;

/// The first of the usual prefixes that every name has.
std::string common_prefix(const NamedTensors& tensors) {
  for (const std::string prefix : {"module._orig_mod.", "module.", "_orig_mod."})
    if (std::all_of(tensors.begin(), tensors.end(), [&](const auto& item) { return item.first.starts_with(prefix); }))
      return prefix;
  return "";
}

TensorTable table_of(const NamedTensors& tensors, const std::string& prefix) {
  TensorTable table;
  for (const auto& [name, tensor] : tensors) table.emplace(name.substr(prefix.size()), tensor);
  return table;
}

bool same_memory(const torch::Tensor& a, const torch::Tensor& b) {
  return a.storage().unsafeGetStorageImpl() == b.storage().unsafeGetStorageImpl() &&
         a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() && a.strides() == b.strides();
}

std::string shape_of(const torch::Tensor& tensor) { return Json(tensor.sizes().vec()).dump(); }

class Matching {
 public:
  Matching(const Network& network, const Architecture& architecture, const NamedTensors& tensors)
      : architecture_(architecture), prefix_(common_prefix(tensors)), given_(table_of(tensors, prefix_)) {
    for (const auto& [name, tensor] : state_of(network)) expected_.emplace(name, tensor);
    resolve_aliases();
    for (const auto& [name, tensor] : expected_) look_for(name, tensor);
    for (const auto& [name, tensor] : given_)
      if (!expected_.contains(name) && tensor.is_floating_point()) unexpected_.push_back(name + " " + shape_of(tensor));
  }

  bool complete() const { return missing_.empty() && unexpected_.empty() && misshapen_.empty(); }
  std::string message() const {
    return list("missing", missing_) + list("unexpected", unexpected_) + list("of another shape", misshapen_);
  }
  WeightMatch fill() const {
    const torch::NoGradGuard no_gradients;
    WeightMatch match{0, aliases_, prefix_};
    for (const auto& [name, tensor] : expected_) {
      const auto found = given_.find(name);
      if (found == given_.end()) continue;
      torch::Tensor target = tensor;
      target.copy_(found->second);
      ++match.filled;
    }
    return match;
  }

 private:
  std::string canonical(std::string name) const {
    for (const auto& [pattern, replacement] : architecture_.state_aliases)
      name = std::regex_replace(name, std::regex(pattern), replacement);
    return name;
  }

  /// A second name goes where the first one is known: by the file's own sharing of memory, or by the original's rules.
  void resolve_aliases() {
    TensorTable others;
    for (const auto& [name, tensor] : given_)
      if (!expected_.contains(name)) others.emplace(name, tensor);
    for (const auto& [name, tensor] : others) {
      const std::string first = canonical(name);
      const bool renamed = expected_.contains(first);
      if (renamed) given_.emplace(first, tensor);
      if (!renamed && !shares_memory_with_expected(tensor)) continue;
      given_.erase(name);
      ++aliases_;
    }
  }

  bool shares_memory_with_expected(const torch::Tensor& tensor) const {
    return std::any_of(given_.begin(), given_.end(), [&](const auto& item) {
      return expected_.contains(item.first) && same_memory(item.second, tensor);
    });
  }

  void look_for(const std::string& name, const torch::Tensor& tensor) {
    const auto found = given_.find(name);
    if (found == given_.end()) {
      if (tensor.is_floating_point()) missing_.push_back(name + " " + shape_of(tensor));
    } else if (found->second.sizes() != tensor.sizes()) {
      misshapen_.push_back(name + ": " + shape_of(found->second) + " instead of " + shape_of(tensor));
    }
  }

  static std::string list(const std::string& title, const std::vector<std::string>& lines) {
    if (lines.empty()) return "";
    std::string text = "\n  " + title + " (" + std::to_string(lines.size()) + "):";
    for (const auto& line : lines) text += "\n    " + line;
    return text;
  }

  const Architecture& architecture_;
  std::string prefix_;
  TensorTable given_, expected_;
  std::vector<std::string> missing_, unexpected_, misshapen_;
  std::size_t aliases_ = 0;
};

}  // namespace

WeightMatch fill_network(Network& network, const Architecture& architecture, const NamedTensors& tensors,
                         const std::string& source) {
  const Matching matching(network, architecture, tensors);
  if (!matching.complete())
    throw UserError(source + " does not fit " + architecture.name + " as it is configured; tensors" +
                    matching.message());
  return matching.fill();
}

}  // namespace m3d
