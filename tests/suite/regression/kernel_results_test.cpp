#include "suite/regression/kernel_results.h"

#include <unistd.h>

#include <filesystem>

#include "common/atomic_file.h"
#include "common/error.h"
#include "tests/catch.h"
#include "tests/suite/regression/synthetic_results.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Matchers::Contains;

namespace {

const std::filesystem::path file =
    std::filesystem::temp_directory_path() / ("m3d-kernel-results-" + std::to_string(getpid()) + ".json");

KernelResults load_text(const std::string& text) {
  write_atomically(file, text);
  const struct RemoveAtEnd {
    ~RemoveAtEnd() { std::filesystem::remove(file); }
  } remove_at_end;
  return load_kernel_results(file);
}

std::string message_for(const std::string& text) {
  try {
    load_text(text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("results survive their file") {
  KernelResult failed = result_with("b/forward", {});
  failed.failure = "wrong result";
  failed.largest_error.reset();
  const KernelResults written = run_of({result_with("a/forward", {1, 4, 2}), failed});
  const KernelResults read = load_text(to_json(written).dump());
  CHECK(to_json(read) == to_json(written));
  CHECK(read.context.machine() == "Some CPU, 2 threads, avx2");
  CHECK(read.context.toolkit() == "GCC 12.2.0, LibTorch 2.11.0");
  CHECK(read.any_failed());
}

TEST_CASE("the derived values are those of the median") {
  const Json json = to_json(run_of({result_with("a/forward", {1, 4, 2})}));
  const Json& entry = json["benchmarks"][0];
  CHECK(entry["operator"] == "a");
  CHECK(entry["median_milliseconds"] == 2);
  CHECK(entry["elements_per_second"].get<double>() == Approx(5e8));
  CHECK(entry["bytes_per_second"].get<double>() == Approx(4e9));
  CHECK(entry["percent_of_limit"].get<double>() == Approx(25));
}

TEST_CASE("what is no result is named with its file") {
  Json json = to_json(run_of({result_with("a/forward", {1, 2})}));
  CHECK_THAT(message_for("{"), Contains(file.string()) && Contains("parse error"));
  CHECK_THAT(message_for("[]"), Contains(file.string()));
  CHECK_THAT(message_for("{\"benchmarks\": []}"), Contains("kind"));
  Json later = json;
  later["schema"] = 2;
  CHECK_THAT(message_for(later.dump()), Contains("schema 2"));
  Json negative = json;
  negative["benchmarks"][0]["milliseconds"][1] = -2;
  CHECK_THAT(message_for(negative.dump()), Contains("a/forward") && Contains("positive"));
  Json lacking = json;
  lacking["context"].erase("threads");
  CHECK_THAT(message_for(lacking.dump()), Contains("threads"));
  CHECK_THROWS_AS(load_kernel_results("/nowhere.json"), UserError);
}
