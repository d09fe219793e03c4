#include "suite/verify/fill_record.h"

#include <cstdio>
#include <cstdlib>
#include <regex>

#include "common/hash.h"
#include "common/random.h"
#include "suite/verify/verify.h"

namespace m3d {
namespace {

/// log(1 + (i mod N)) + 0.01 u for the state matrices of Mamba's relatives, whatever their suffix.
bool is_A_log(const std::string& last) {
  static const std::regex pattern("^A_(\\w+_)?log.*");
  return std::regex_match(last, pattern);
}

}  // namespace

std::vector<double> filled_values(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  const std::string last = name.substr(name.rfind('.') + 1);
  const double fan_in = shape.empty() || shape[0] == 0 ? 1 : static_cast<double>(count / shape[0]);
  std::vector<double> values(static_cast<std::size_t>(count));
  const bool A_log = is_A_log(last);
  const NamedUniform uniform(name);
  for (std::int64_t i = 0; i < count; ++i) {
    const double u = uniform(static_cast<std::uint64_t>(i));
    double& value = values[static_cast<std::size_t>(i)];
    if (A_log)
      value = std::log(1.0 + static_cast<double>(i % shape.back())) + 0.01 * u;
    else if (last == "running_var")
      value = 1.0 + 0.1 * std::abs(u);
    else if (last == "running_mean")
      value = 0.1 * u;
    else if (shape.size() >= 2)
      value = u * std::sqrt(3.0 / fan_in);
    else if (last == "weight" || last.starts_with("D"))
      value = 1.0 + 0.1 * u;
    else
      value = 0.1 * u;
  }
  return values;
}

RecordCheck verify_fill(const Json& record) {
  RecordComparison compare;
  for (const auto& item : record.at("u")) {
    const std::string name = item.at("name");
    char hash[24];
    std::snprintf(hash, sizeof hash, "0x%016llx", static_cast<unsigned long long>(fnv1a64(name)));
    compare.exact("fnv1a64('" + name + "')", item.at("fnv1a64") == hash, std::string("got ") + hash);
    for (std::size_t k = 0; k < item.at("i").size(); ++k)
      compare.number("u('" + name + "')", named_uniform(name, item.at("i")[k].get<std::uint64_t>()),
                     item.at("u").at(k).get<double>(), 1.0, 0.0);
  }
  for (const auto& item : record.at("values")) {
    const std::string name = item.at("name");
    const auto values = filled_values(name, item.at("shape").get<std::vector<std::int64_t>>());
    const Json& expected = item.at("values");
    compare.exact("number of values of " + name, values.size() == expected.size());
    for (std::size_t i = 0; i < std::min(values.size(), expected.size()); ++i)
      compare.number(name, values[i], expected[i].get<double>(), 1.0, 1e-15);
  }
  return compare.result(record.value("name", "fill_vectors"), "fill");
}

}  // namespace m3d
