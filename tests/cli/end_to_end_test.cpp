// The main job on an embedded dataset: run, repeat, kill, interrupt, collide, damage.
#include <csignal>

#include "common/atomic_file.h"
#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// One generated dataset and one finished smoke suite for all tests of this program.
struct Finished {
  Workplace place;
  Outcome prepare, first;
  Finished() {
    prepare = run(place, {"prepare", "--dataset", "phantom_mri", "--data-root", "data"});
    first = run(place, smoke("finished"));
  }
  static std::vector<std::string> smoke(const std::string& output) {
    return {"--suite", "smoke", "--dataset", "phantom_mri", "--data-root", "data", "--out", output};
  }
  std::vector<fs::path> records(const std::string& output) const {
    return files_under(place.path() / output, "record.json");
  }
};

const Finished& finished() {
  static const Finished instance;
  return instance;
}

/// Metrics by run folder: what two equal runs must agree on.
std::map<std::string, Json> metrics_of(const std::vector<fs::path>& records) {
  std::map<std::string, Json> metrics;
  for (const auto& record : records)
    metrics[record.parent_path().filename()] = Json::parse(read_file(record)).at("metrics");
  return metrics;
}

}  // namespace

TEST_CASE("the smoke suite ends with records and a report") {
  const Finished& all = finished();
  INFO(all.first.err);
  REQUIRE(all.prepare.exit_code == 0);
  REQUIRE(all.first.exit_code == 0);
  REQUIRE(all.records("finished").size() == 2);
  for (const auto& file : all.records("finished")) {
    const Json record = Json::parse(read_file(file));
    CHECK(record.at("status") == "ok");
    CHECK(record.at("metrics").at("mean_dice").is_number());
    CHECK(record.at("profile").at("parameters") > 0);
    for (const char* name : {"config.yaml", "log.csv", "checkpoint.pt", "summary.json"})
      CHECK(fs::exists(file.parent_path() / name));
    CHECK(fs::exists(file.parent_path() / "predictions"));
  }
  CHECK(fs::path(all.first.last_line()).filename() == "index.html");
  CHECK(fs::is_regular_file(all.first.last_line()));
}

TEST_CASE("a finished suite is not repeated") {
  const Finished& all = finished();
  const Outcome again = run(all.place, Finished::smoke("finished"));
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.out, Contains("2 already done"));
  CHECK(again.seconds < 5);
  CHECK(again.last_line() == all.first.last_line());
}

TEST_CASE("killed at any moment and started again, the results are the same") {
  const Finished& all = finished();
  Program victim(all.place, Finished::smoke("killed"));
  REQUIRE(wait_for_file(all.place.path() / "killed", "checkpoint.pt"));
  victim.signal(SIGKILL);
  CHECK(victim.wait().exit_code == 128 + SIGKILL);
  CHECK(all.records("killed").empty());
  const Outcome resumed = run(all.place, Finished::smoke("killed"));
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(metrics_of(all.records("killed")) == metrics_of(all.records("finished")));
}

TEST_CASE("an interrupt saves the state and exits with 130; the same command continues") {
  const Finished& all = finished();
  Program job(all.place, Finished::smoke("interrupted"));
  REQUIRE(wait_for_file(all.place.path() / "interrupted", "log.csv"));
  job.signal(SIGINT);
  const Outcome stopped = job.wait();
  INFO(stopped.err);
  CHECK(stopped.exit_code == 130);
  CHECK_FALSE(files_under(all.place.path() / "interrupted", "checkpoint.pt").empty());
  const Outcome resumed = run(all.place, Finished::smoke("interrupted"));
  REQUIRE(resumed.exit_code == 0);
  CHECK(metrics_of(all.records("interrupted")) == metrics_of(all.records("finished")));
}

TEST_CASE("a second process on the same output says who holds it") {
  const Finished& all = finished();
  Program holder(all.place, Finished::smoke("shared"));
  REQUIRE(wait_for_file(all.place.path() / "shared", "config.yaml"));
  const Outcome second = run(all.place, Finished::smoke("shared"));
  const Outcome first = holder.wait();
  INFO(second.err);
  CHECK(second.exit_code != 0);
  CHECK_THAT(second.err, Contains(std::to_string(holder.pid())));
  CHECK(first.exit_code == 0);
}

TEST_CASE("a damaged record is reported, repeated on request, and leaves the others alone") {
  const Finished& all = finished();
  const fs::path copy = all.place.path() / "damaged";
  fs::copy(all.place.path() / "finished", copy, fs::copy_options::recursive);
  const auto records = all.records("damaged");
  REQUIRE(records.size() == 2);
  const std::string untouched = read_file(records[1]);
  write_atomically(records[0], "{\"schema\": 1, \"status\": ");
  auto arguments = Finished::smoke("damaged");
  const Outcome reported = run(all.place, arguments);
  CHECK_THAT(reported.err + reported.out, Contains("damaged"));
  CHECK_THAT(reported.err + reported.out, Contains("--fresh"));
  arguments.push_back("--fresh");
  const Outcome repeated = run(all.place, arguments);
  INFO(repeated.err);
  CHECK(repeated.exit_code == 0);
  CHECK(Json::parse(read_file(records[0])).at("status") == "ok");
  CHECK(Json::parse(read_file(records[1])).at("metrics") == Json::parse(untouched).at("metrics"));
}

TEST_CASE("exported weights start another run, which predicts the same without training") {
  const Finished& all = finished();
  fs::path source;
  for (const auto& record : all.records("finished"))
    if (Json::parse(read_file(record)).at("axes").at("scan") == "single") source = record.parent_path();
  for (const std::string file : {"weights.safetensors", "weights.pt"}) {
    INFO(file);
    const Outcome exported = run(all.place, {"export-weights", "--run", source.string(), "--output", file});
    INFO(exported.err);
    REQUIRE(exported.exit_code == 0);
    auto arguments = Finished::smoke("from-" + file);
    for (const std::string argument : {"--axis", "scan=[single]", "--set", "train.epochs=0"})
      arguments.push_back(argument);
    arguments.push_back("train.initial_weights=" + file);
    const Outcome evaluated = run(all.place, arguments);
    INFO(evaluated.err);
    REQUIRE(evaluated.exit_code == 0);
    const auto records = all.records("from-" + file);
    REQUIRE(records.size() == 1);
    CHECK(Json::parse(read_file(records[0])).at("metrics") ==
          Json::parse(read_file(source / "record.json")).at("metrics"));
  }
}

TEST_CASE("weights that do not fit are refused with the list of tensors, and nothing is written") {
  const Finished& all = finished();
  run(all.place, {"export-weights", "--run", all.records("finished")[0].parent_path().string(), "--output", "w.pt"});
  const Outcome refused =
      run(all.place, {"import-weights", "--weights", "w.pt", "--architecture", "ulike_trans_sra", "--output", "x.pt"});
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("missing (") && Contains("unexpected ("));
  CHECK_FALSE(fs::exists(all.place.path() / "x.pt"));
  auto arguments = Finished::smoke("absent");
  arguments.insert(arguments.end(), {"--set", "train.initial_weights=nowhere.pt"});
  const Outcome absent = run(all.place, arguments);
  CHECK(absent.exit_code == 2);
  CHECK_THAT(absent.err, Contains("nowhere.pt: no such file"));
  CHECK_FALSE(fs::exists(all.place.path() / "absent"));
}
