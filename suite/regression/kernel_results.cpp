#include "suite/regression/kernel_results.h"

#include <algorithm>
#include <cmath>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/statistics.h"

namespace m3d {
namespace {

constexpr int kSchema = 1;
constexpr const char* kKind = "m3d-bench kernels";

Json context_json(const KernelContext& context) {
  Json bandwidth = Json::object();
  for (const auto& [bytes, rate] : context.bandwidth) bandwidth[std::to_string(bytes)] = rate;
  return {{"device", context.device},
          {"device_name", context.device_name},
          {"cpu", context.cpu},
          {"threads", context.threads},
          {"instruction_set", context.instruction_set},
          {"compiler", context.compiler},
          {"libtorch", context.libtorch},
          {"cuda", context.cuda},
          {"version", context.version},
          {"git_commit", context.git_commit},
          {"started", context.started},
          {"finished", context.finished},
          {"limits",
           {{"multiply_adds_per_second", context.multiply_adds_per_second},
            {"exponentials_per_second", context.exponentials_per_second},
            {"bytes_per_second_by_working_set", bandwidth}}}};
}

Json result_json(const KernelResult& result) {
  Json json = {{"name", result.name},
               {"operator", result.operator_name()},
               {"elements", result.elements},
               {"bytes", result.bytes},
               {"limit_milliseconds", result.limit_milliseconds},
               {"limit", result.limit},
               {"largest_error", result.largest_error ? Json(*result.largest_error) : Json()},
               {"tolerance", result.tolerance},
               {"failure", result.failure.empty() ? Json() : Json(result.failure)},
               {"milliseconds", result.milliseconds},
               {"cpu_milliseconds", result.cpu_milliseconds}};
  if (result.milliseconds.empty()) return json;
  const double seconds = 1e-3 * result.median_milliseconds();
  json["median_milliseconds"] = 1e3 * seconds;
  json["elements_per_second"] = result.elements / seconds;
  json["bytes_per_second"] = result.bytes / seconds;
  json["percent_of_limit"] = result.percent_of_limit();
  return json;
}

KernelContext read_context(const Json& json) {
  KernelContext context;
  context.device = json.at("device");
  context.device_name = json.at("device_name");
  context.cpu = json.at("cpu");
  context.threads = json.at("threads");
  context.instruction_set = json.at("instruction_set");
  context.compiler = json.at("compiler");
  context.libtorch = json.at("libtorch");
  context.cuda = json.at("cuda");
  context.version = json.at("version");
  context.git_commit = json.at("git_commit");
  context.started = json.at("started");
  context.finished = json.at("finished");
  const Json& limits = json.at("limits");
  context.multiply_adds_per_second = limits.at("multiply_adds_per_second");
  context.exponentials_per_second = limits.at("exponentials_per_second");
  for (const auto& [bytes, rate] : limits.at("bytes_per_second_by_working_set").items())
    context.bandwidth[std::stoll(bytes)] = rate;
  return context;
}

void require_times(const std::vector<double>& times, const std::string& name) {
  const auto valid = [](double time) { return std::isfinite(time) && time > 0; };
  if (!std::all_of(times.begin(), times.end(), valid))
    throw std::invalid_argument("times of '" + name + "' must be positive");
}

KernelResult read_result(const Json& json) {
  KernelResult result;
  result.name = json.at("name");
  result.elements = json.at("elements");
  result.bytes = json.at("bytes");
  result.limit_milliseconds = json.at("limit_milliseconds");
  result.limit = json.at("limit");
  if (!json.at("largest_error").is_null()) result.largest_error = json.at("largest_error").get<double>();
  result.tolerance = json.at("tolerance");
  if (!json.at("failure").is_null()) result.failure = json.at("failure");
  result.milliseconds = json.at("milliseconds").get<std::vector<double>>();
  result.cpu_milliseconds = json.at("cpu_milliseconds").get<std::vector<double>>();
  require_times(result.milliseconds, result.name);
  require_times(result.cpu_milliseconds, result.name);
  return result;
}

KernelResults read_results(const Json& json) {
  if (json.value("kind", "") != kKind) throw std::invalid_argument("\"kind\" is not \"" + std::string(kKind) + "\"");
  if (json.at("schema") != kSchema)
    throw std::invalid_argument("schema " + json.at("schema").dump() + " is not known to this version (1 is)");
  KernelResults results{read_context(json.at("context")), {}};
  for (const Json& entry : json.at("benchmarks")) results.results.push_back(read_result(entry));
  return results;
}

}  // namespace

std::string KernelContext::machine() const {
  return device_name + ", " + (device == "cpu" ? "" : cpu + ", ") + std::to_string(threads) + " threads, " +
         instruction_set;
}

std::string KernelContext::toolkit() const {
  return compiler + ", LibTorch " + libtorch + (cuda.empty() ? "" : ", CUDA " + cuda);
}

std::string KernelResult::operator_name() const { return name.substr(0, name.find('/')); }

double KernelResult::median_milliseconds() const { return quantile(milliseconds, 0.5); }

double KernelResult::percent_of_limit() const { return 100 * limit_milliseconds / median_milliseconds(); }

bool KernelResults::any_failed() const {
  return std::any_of(results.begin(), results.end(), [](const auto& result) { return !result.failure.empty(); });
}

Json to_json(const KernelResults& results) {
  Json benchmarks = Json::array();
  for (const KernelResult& result : results.results) benchmarks.push_back(result_json(result));
  return {{"schema", kSchema}, {"kind", kKind}, {"context", context_json(results.context)}, {"benchmarks", benchmarks}};
}

KernelResults load_kernel_results(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  try {
    return read_results(Json::parse(text));
  } catch (const std::exception& error) {
    throw UserError(file.string() + " is not a result of m3d-bench kernels --out: " + error.what());
  }
}

}  // namespace m3d
