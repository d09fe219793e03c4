// What cannot be is refused with exit code 2, a message that says what to do, and nothing written.
#include <unistd.h>

#include "tests/catch.h"
#include "tests/cli/program.h"

using namespace m3d::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// Standard error of a main job that is refused; checks that it left nothing behind.
std::string refusal(const std::vector<std::string>& arguments) {
  const Workplace place;
  const Outcome outcome = run(place, arguments);
  INFO(outcome.err);
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.out.empty());
  CHECK_FALSE(fs::exists(place.path() / "m3d-results"));
  return outcome.err;
}

std::string refusal_of_smoke(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"--suite", "smoke", "--dataset", "phantom_mri"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return refusal(arguments);
}

std::string refusal_of_file(const std::string& text) {
  const Workplace place;
  const fs::path file = place.write("mine.yaml", text);
  return refusal({"--suite", file.string(), "--dataset", "phantom_mri"});
}

}  // namespace

TEST_CASE("names that do not exist are refused with the nearest one") {
  CHECK_THAT(refusal({"--suite", "scaning", "--dataset", "phantom_mri"}),
             Contains("unknown suite 'scaning'; did you mean 'scanning'"));
  CHECK_THAT(refusal({"--suite", "smoke", "--dataset", "phantom_mir"}), Contains("did you mean 'phantom_mri'"));
  CHECK_THAT(refusal_of_smoke({"--architecture", "ulike_mamba3d"}), Contains("did you mean 'ulike_mamba_3d'"));
  CHECK_THAT(refusal_of_smoke({"--axis", "scan=[tir]"}),
             Contains("unknown value of axis scan 'tir'; did you mean 'tri'"));
  CHECK_THAT(refusal_of_smoke({"--axis", "sacn=[tri]"}), Contains("did you mean 'scan'"));
  CHECK_THAT(refusal_of_smoke({"--set", "train.epoch=3"}), Contains("did you mean 'train.epochs'"));
  CHECK_THAT(refusal_of_smoke({"--set", "model.mrege=sum"}), Contains("did you mean 'merge'"));
  CHECK_THAT(refusal_of_smoke({"--device", "gpu"}), Contains("--device"));
  CHECK_THAT(refusal_of_smoke({"--precision", "fp61"}), Contains("did you mean 'fp16'"));
}

TEST_CASE("unknown flags and subcommands are refused with the nearest one") {
  CHECK_THAT(refusal_of_smoke({"--dyr-run"}), Contains("unknown option '--dyr-run'; did you mean '--dry-run'"));
  CHECK_THAT(refusal({"lsit", "suites"}), Contains("unknown subcommand 'lsit'; did you mean 'list'"));
  CHECK_THAT(refusal({"list", "suites", "--jason"}), Contains("did you mean '--json'"));
  CHECK_THAT(refusal({"list", "siutes"}), Contains("did you mean 'suites'"));
  CHECK_THAT(refusal({"profile", "--architecture", "ulike_mamba_3d", "--set", "scna=tri"}),
             Contains("did you mean 'scan'"));
}

TEST_CASE("a suite's file is read strictly, with file and line") {
  const std::string right = "name: mine\ndescription: Mine.\nextends: smoke\n";
  CHECK_THAT(refusal_of_file(right + "axis: {scan: [tri]}\n"),
             Contains("mine.yaml:4") && Contains("unknown key 'axis'; did you mean 'axes'"));
  CHECK_THAT(refusal_of_file(right + "axes: {scan: [tri}\n"), Contains("mine.yaml:4") && Contains("not valid YAML"));
  CHECK_THAT(refusal_of_file(right + "seeds: [0]\nseeds: [1]\n"), Contains("mine.yaml:5") && Contains("twice"));
  CHECK_THAT(refusal_of_file(right + "base: {train: {epochs: many}}\n"),
             Contains("mine.yaml:4") && Contains("an integer"));
  CHECK_THAT(refusal_of_file(right + "base: {model: {sacn: tri}}\n"),
             Contains("mine.yaml:4") && Contains("did you mean 'scan'"));
}

TEST_CASE("folds, shards and values that cannot be are refused") {
  CHECK_THAT(refusal_of_smoke({"--fold", "7"}), Contains("--fold 7") || Contains("fold 7"));
  CHECK_THAT(refusal_of_smoke({"--fold", "some"}), Contains("--fold some") && Contains("everything"));
  CHECK_THAT(refusal_of_smoke({"--fold", "0", "--fold", "all"}), Contains("twice"));
  CHECK_THAT(refusal_of_smoke({"--shard", "3/2"}), Contains("--shard"));
  CHECK_THAT(refusal_of_smoke({"--shard", "half"}), Contains("--shard half"));
  CHECK_THAT(refusal_of_smoke({"--seed", "one"}), Contains("--seed"));
  CHECK_THAT(refusal_of_smoke({"--set", "train.epochs=-1"}), Contains("out of range"));
  CHECK_THAT(refusal_of_smoke({"--dataset", "phantom_mri"}), Contains("twice"));
  CHECK_THAT(refusal({"--suite", "smoke"}), Contains("--dataset NAME is missing"));
  CHECK_THAT(refusal({"--dataset", "phantom_mri"}), Contains("--suite NAME is missing"));
}

TEST_CASE("a dataset that is absent: where to get it, where to put it, what to run then") {
  const std::string message = refusal({"--suite", "scanning", "--dataset", "totalseg_mri"});
  CHECK_THAT(message, Contains("totalseg_mri") && Contains("get it from") && Contains("puts it in") &&
                          Contains("then run: m3d-bench prepare"));
  CHECK_THAT(message, Contains("http") && Contains("nnUNet_raw"));
}

TEST_CASE("an output folder that cannot be written is refused by name") {
  const Workplace place;
  const fs::path blocked = place.write("file", "not a folder");
  const Outcome outcome =
      run(place, {"--suite", "smoke", "--dataset", "phantom_mri", "--out", (blocked / "results").string()});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("--out") && Contains("file"));
  const auto refused = [&](std::vector<std::string> arguments, const char* option) {
    arguments.insert(arguments.end(), {option, (blocked / "below").string()});
    const Outcome one = run(place, arguments);
    CHECK(one.exit_code == 2);
    CHECK_THAT(one.err, Contains("cannot write to " + blocked.string()) && Contains(option));
  };
  refused({"prepare", "--dataset", "phantom_mri"}, "--data-root");
  refused({"predict", "--run", "r", "--input", "i"}, "--output");
  refused({"ensemble", "--input", "i", "--input", "j"}, "--output");
}

TEST_CASE("links in a circle are refused by name, wherever a folder is expected") {
  const Workplace place;
  fs::create_symlink("loop", place.path() / "loop");
  const std::vector<std::string> smoke = {"--suite", "smoke", "--dataset", "phantom_mri"};
  const auto smoke_with = [&](const char* option) {
    std::vector<std::string> arguments = smoke;
    arguments.insert(arguments.end(), {option, "loop"});
    return arguments;
  };
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"prepare", "--dataset", "./loop/"},
                                                    {"prepare", "--dataset", "totalseg_mri", "--source", "loop"},
                                                    {"predict", "--run", "loop", "--input", "loop", "--output", "o"},
                                                    {"report", "loop"},
                                                    smoke_with("--out"),
                                                    smoke_with("--data-root")}) {
    const Outcome outcome = run(place, arguments);
    INFO(outcome.err);
    CHECK(outcome.exit_code == 2);
    CHECK_THAT(outcome.err, Contains("loop") && (Contains("circle") || Contains("levels of symbolic links")));
  }
}

TEST_CASE("files that are not what a subcommand needs are refused by name") {
  const Workplace place;
  const std::string record = place.write("record.json", "{\"kind\": ").string();
  Outcome outcome = run(place, {"verify", record});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("record.json"));
  outcome = run(place, {"verify", (place.path() / "absent.json").string()});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("absent.json"));
  outcome = run(place, {"evaluate", "--predictions", "p", "--references", "r"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("--labels"));
  outcome = run(place, {"evaluate", "--predictions", "p", "--references", "r", "--dataset", "phantom_mri"});
  CHECK(outcome.exit_code == 2);
  outcome = run(place, {"predict", "--run", "nothing", "--input", "i", "--output", "o"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("nothing"));
  outcome = run(place, {"report", "nothing"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("nothing"));
  outcome = run(place, {"profile", "--architecture", "ulike_mamba_3d", "--patch", "100,100,100"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("multiples of"));
  outcome = run(place, {"profile", "--architecture", "ulike_mamba_3d", "--trace", "t.json"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("--measure"));
}

TEST_CASE("a dataset folder that is empty, or lacks a file, is refused") {
  const Workplace place;
  fs::create_directories(place.path() / "raw" / "Dataset777_Empty");
  Outcome outcome = run(place, {"--suite", "smoke", "--dataset", "777", "--data-root", "raw"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("Dataset777_Empty"));
  place.write(
      "raw/Dataset778_Half/dataset.json",
      R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "organ": 1}, "numTraining": 1, "file_ending": ".nii.gz"})");
  outcome = run(place, {"--suite", "smoke", "--dataset", "778", "--data-root", "raw"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("Dataset778_Half"));
}
