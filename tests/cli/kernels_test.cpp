// m3d-bench kernels, run as a user runs it. No times are judged.
#include "common/atomic_file.h"
#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Matchers::Contains;

namespace {

const std::string kQuick = "^causal_conv1d/forward/float32/C:1024/L:64$";

}  // namespace

TEST_CASE("kernels lists its benchmarks") {
  const Workplace place;
  const Outcome plain = run(place, {"kernels", "--list"});
  CHECK(plain.exit_code == 0);
  for (const char* name : {"selective_scan/forward/float32/D:96/L:32768", "depthwise_conv3d/forward_backward/float32/"})
    CHECK_THAT(plain.out, Contains(name));
  const Json names = run(place, {"kernels", "--list", "--filter", "conv1d/forward/", "--json"}).json();
  REQUIRE(!names.empty());
  for (const auto& name : names) CHECK_THAT(name.get<std::string>(), Contains("causal_conv1d/forward/"));
}

TEST_CASE("kernels refuses what cannot be, before it measures") {
  const Workplace place;
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& words) {
    const Outcome outcome = run(place, arguments);
    CHECK(outcome.exit_code == 2);
    CHECK_THAT(outcome.err, Contains(words));
    CHECK(outcome.out.empty());
  };
  refused({"kernels", "--filter", "("}, "not a regular expression");
  refused({"kernels", "--filter", "causal_conv2d"}, "did you mean 'causal_conv1d'");
  refused({"kernels", "--baseline", "absent.json"}, "absent.json");
  const std::string broken = place.write("broken.json", "{\"kind\": \"m3d-bench kernels\"}");
  refused({"kernels", "--baseline", broken}, "broken.json is not a result");
  refused({"kernels", "--head", broken}, "--baseline");
  refused({"kernels", "--repetitions", "0"}, "--repetitions");
  refused({"kernels", "--factor", "0.9"}, "--factor");
  refused({"kernels", "--clock", "sun"}, "wall");
}

TEST_CASE("kernels measures, writes, compares with itself and traces") {
  const Workplace place;
  const Outcome first = run(place, {"kernels", "--filter", kQuick, "--repetitions", "9", "--out", "first.json",
                                    "--json", "--trace", "trace.json"});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const Json document = first.json();
  CHECK(document["context"]["threads"] > 0);
  CHECK(document["context"]["limits"]["multiply_adds_per_second"] > 1e8);
  REQUIRE(document["benchmarks"].size() == 1);
  const Json& entry = document["benchmarks"][0];
  CHECK(entry["milliseconds"].size() == 9);
  CHECK(entry["percent_of_limit"] > 0);
  CHECK(entry["largest_error"] < entry["tolerance"]);
  CHECK(Json::parse(read_file(place.path() / "first.json")) == document);

  // Kineto's trace: Chrome's JSON with the operators by name.
  const Json trace = Json::parse(read_file(place.path() / "trace.json"));
  const Json& events = trace["traceEvents"];
  CHECK(std::any_of(events.begin(), events.end(),
                    [](const Json& event) { return event.value("name", "") == "m3d::causal_conv1d"; }));

  // The same file on both sides: the ratio is 1 whatever the noise.
  const Outcome same = run(place, {"kernels", "--baseline", "first.json", "--head", "first.json", "--json"});
  CHECK(same.exit_code == 0);
  const Json verdict = same.json()["comparison"]["verdicts"][0];
  CHECK(verdict["ratio"] == 1.0);
  CHECK((verdict["verdict"] == "same" || verdict["verdict"] == "ambiguous"));

  const Outcome again = run(place, {"kernels", "--filter", kQuick, "--repetitions", "3", "--baseline", "first.json"});
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.out, Contains("unknown: fewer than 9 samples") && Contains("% of limit"));
}

TEST_CASE("a proven slowdown ends with exit code 1") {
  const Workplace place;
  REQUIRE(run(place, {"kernels", "--filter", kQuick, "--repetitions", "9", "--out", "before.json"}).exit_code == 0);
  Json results = Json::parse(read_file(place.path() / "before.json"));
  for (int i = 0; i < 9; ++i) results["benchmarks"][0]["milliseconds"][i] = 1 + 1e-3 * i;
  place.write("before.json", results.dump());
  for (auto& time : results["benchmarks"][0]["milliseconds"]) time = 2 * time.get<double>();
  place.write("after.json", results.dump());
  const Outcome slower = run(place, {"kernels", "--baseline", "before.json", "--head", "after.json"});
  CHECK(slower.exit_code == 1);
  CHECK_THAT(slower.out, Contains("slower"));
  CHECK(run(place, {"kernels", "--baseline", "after.json", "--head", "before.json"}).exit_code == 0);
}

TEST_CASE("the trend of archived results is a report") {
  const Workplace place;
  REQUIRE(run(place, {"kernels", "--filter", kQuick, "--repetitions", "1", "--out", "archive/a.json"}).exit_code == 0);
  const Outcome report = run(place, {"report", "archive", "--output", "trend"});
  INFO(report.err);
  CHECK(report.exit_code == 0);
  CHECK_THAT(read_file(place.path() / "trend/index.html"), Contains("causal_conv1d") && Contains("<svg"));
}
