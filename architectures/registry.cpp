#include "architectures/registry.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <stdexcept>

#include "architectures/group_norm_kernel.h"
#include "architectures/onednn_kernels.h"
#include "common/error.h"
#include "common/nearest_name.h"

namespace m3d {

void register_all_families();  // generated: see CMakeLists.txt

namespace {

std::vector<Architecture>& architectures() {
  static std::vector<Architecture> all;
  return all;
}

/// Families are registered on the first question instead of by static objects, which a linker may drop.
const std::vector<Architecture>& all_architectures() {
  static std::once_flag once;
  std::call_once(once, [] {
    register_onednn_kernels();
    register_group_norm_kernel();
    register_all_families();
  });
  return architectures();
}

/// Runs of digits compare as numbers, so that "net_2" comes before "net_10".
bool natural_less(const std::string& a, const std::string& b) {
  std::size_t i = 0, j = 0;
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    std::size_t used_a = 0, used_b = 0;
    const auto number_a = std::stoull(a.substr(i), &used_a), number_b = std::stoull(b.substr(j), &used_b);
    if (number_a != number_b) return number_a < number_b;
    i += used_a, j += used_b;
  }
  return a.size() - i < b.size() - j;
}

/// The family's functions see every option, whichever are given.
void fill_in_defaults(Architecture& architecture) {
  const auto all = [schema = architecture.options](const Json& options) {
    return schema.resolve(options, [](const std::string& key) { return "options." + key; });
  };
  architecture.divisors = [all, divisors = architecture.divisors](const Json& options) {
    return divisors(all(options));
  };
  architecture.outputs = [all, outputs = architecture.outputs](const Json& options) { return outputs(all(options)); };
  architecture.build = [all, build = architecture.build](const NetworkInput& input, const Json& options,
                                                         std::uint64_t seed) {
    return build(input, all(options), seed);
  };
  architecture.scan_orders = [all, orders = architecture.scan_orders](
                                 const Json& options, const std::array<std::int64_t, 3>& grid, std::uint64_t seed) {
    return orders(all(options), grid, seed);
  };
}

}  // namespace

void register_architecture(Architecture architecture) {
  for (const auto& known : architectures())
    if (known.name == architecture.name)
      throw std::logic_error("architecture '" + architecture.name + "' is registered twice");
  if (!architecture.outputs) architecture.outputs = [](const Json&) { return 1; };
  if (!architecture.scan_orders)
    architecture.scan_orders = [](const Json&, const auto&, std::uint64_t) { return std::vector<ScanOrderUse>{}; };
  fill_in_defaults(architecture);
  architectures().push_back(std::move(architecture));
}

const Architecture& find_architecture(const std::string& name) {
  for (const auto& architecture : all_architectures())
    if (architecture.name == name) return architecture;
  throw UserError(unknown_name_message("architecture", name, architecture_names()));
}

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const auto& architecture : all_architectures()) names.push_back(architecture.name);
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

}  // namespace m3d
