#include "architectures/registry.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <stdexcept>

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

}  // namespace

void register_architecture(Architecture architecture) {
  for (const auto& known : architectures())
    if (known.name == architecture.name)
      throw std::logic_error("architecture '" + architecture.name + "' is registered twice");
  if (!architecture.scan_orders)
    architecture.scan_orders = [](const Json&, const auto&, std::uint64_t) { return std::vector<ScanOrderUse>{}; };
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
