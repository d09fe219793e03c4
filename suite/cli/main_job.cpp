// m3d-bench --suite: expand, check, run, report.
#include <algorithm>
#include <cstdio>
#include <map>

#include "ablations/expand.h"
#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/catalogue/dataset.h"
#include "reports/report.h"
#include "suite/cli/command.h"
#include "suite/cli/match_options.h"
#include "suite/cli/output.h"
#include "suite/cli/plan_output.h"
#include "suite/profile/trace.h"
#include "suite/run/harness.h"
#include "suite/run/match_budget.h"
#include "suite/train/device.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

struct MainJobOptions {
  SuiteRequest request;
  std::vector<std::string> datasets;
  std::vector<std::string> folds;
  std::string shard = "1/1";
  std::string output = "m3d-results";
  std::string data_root;
  std::string command_line;
  std::string trace;
  std::string match, like;
  bool dry_run = false, fresh = false, json = false;
};

std::vector<int> parse_folds(const std::vector<std::string>& given) {
  std::vector<int> folds;
  for (const auto& text : given) {
    const bool digits = !text.empty() && text.size() < 4 && text.find_first_not_of("0123456789") == std::string::npos;
    if (text == "all") {
      folds.insert(folds.end(), {0, 1, 2, 3, 4});
    } else if (text == "everything") {
      folds.push_back(kFoldEverything);
    } else if (digits) {
      folds.push_back(std::stoi(text));
    } else {
      throw UserError("--fold " + text + ": expected 0 to 4, all (each in turn) or everything (train on all cases)");
    }
  }
  auto sorted = folds;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) throw UserError("--fold gives a fold twice");
  return folds.empty() ? std::vector<int>{0} : folds;
}

void parse_shard(const std::string& text, SuiteRequest& request) {
  char rest = 0;
  if (std::sscanf(text.c_str(), "%d/%d%c", &request.shard, &request.shards, &rest) != 2)
    throw UserError("--shard " + text + ": expected i/n with i from 1 to n, as in 1/4");
}

/// Folds that cannot be are refused before anything is written, also in a dry run.
void require_folds(const std::vector<RunConfig>& runs, const DataRoots& roots) {
  std::map<std::string, Dataset> datasets;
  for (const RunConfig& run : runs) {
    const auto known = datasets.find(run.dataset);
    const Dataset& dataset = known != datasets.end()
                                 ? known->second
                                 : datasets.emplace(run.dataset, describe_dataset(run.dataset, roots)).first->second;
    if (!dataset.training.empty()) {
      split_of(dataset, run.fold, run.settings.at("data").value("split", ""));
    } else if (run.fold > 4) {
      throw UserError("--fold " + std::to_string(run.fold) + " does not exist: '" + dataset.name +
                      "' has folds 0 to 4");
    }
  }
}

/// Looks without generating: an embedded dataset may come to be later, any other must be there.
Dataset require_dataset(const std::string& name, const DataRoots& roots) {
  const Dataset dataset = describe_dataset(name, roots);
  return dataset.embedded ? dataset : open_dataset(name, roots);
}

/// Fills what of the request follows from flags, and checks all that can be checked before anything is written.
void complete_request(MainJobOptions& options) {
  SuiteRequest& request = options.request;
  if (request.suite.empty()) throw UserError("--suite NAME is missing; m3d-bench list suites shows the names");
  if (options.datasets.empty()) throw UserError("--dataset NAME is missing; m3d-bench list datasets shows the names");
  request.folds = parse_folds(options.folds);
  parse_shard(options.shard, request);
  require_device_and_precision(request.device, request.precision);
  load_suite(request.suite, "--suite", request.recipe);
  for (const auto& name : options.datasets) {
    const Dataset dataset = require_dataset(name, {options.data_root, options.output});
    for (const auto& other : request.datasets)
      if (other.name == dataset.name) throw UserError("--dataset gives '" + dataset.name + "' twice");
    request.datasets.push_back({dataset.name, dataset.embedded});
  }
}

/// A dataset given by its path is found again by its name when its parent is the data root.
void take_data_root_from_paths(MainJobOptions& options) {
  for (const auto& name : options.datasets)
    if (options.data_root.empty() && fs::is_regular_file(fs::path(name) / "dataset.json"))
      options.data_root = fs::weakly_canonical(name).parent_path();
}

fs::file_time_type newest_record(const fs::path& folder) {
  fs::file_time_type newest = fs::file_time_type::min();
  for (const auto& run : fs::directory_iterator(folder))
    if (fs::exists(run.path() / "record.json"))
      newest = std::max(newest, fs::last_write_time(run.path() / "record.json"));
  return newest;
}

/// The report of one dataset, rendered anew only when there is a newer record.
fs::path report_of(const fs::path& folder) {
  const fs::path page = folder / "report" / "index.html";
  if (fs::exists(page) && fs::last_write_time(page) >= newest_record(folder)) return page;
  return write_report({folder}, folder / "report", {});
}

std::vector<std::string> write_reports(const std::vector<PlannedRun>& plan, const fs::path& output) {
  std::vector<fs::path> folders;
  for (const auto& run : plan)
    if (const fs::path folder = output / run.config.suite / run.config.dataset;
        fs::is_directory(folder) && std::find(folders.begin(), folders.end(), folder) == folders.end())
      folders.push_back(folder);
  std::vector<std::string> pages;
  for (const auto& folder : folders) pages.push_back(fs::absolute(report_of(folder)).lexically_normal());
  return pages;
}

int run_and_report(std::vector<PlannedRun>& plan, const MainJobOptions& options, const HarnessOptions& harness) {
  const SuiteOutcome outcome = execute_runs(plan, harness);
  const auto pages = write_reports(plan, harness.output);
  if (options.json) {
    Json document = plan_json(plan);
    document["outcome"] = {{"done", outcome.done},
                           {"failed", outcome.failed},
                           {"skipped", outcome.skipped},
                           {"already_done", outcome.already_done}};
    document["reports"] = pages;
    print_json(document);
  } else {
    std::printf("%d done, %d already done, %d failed, %d skipped\n", static_cast<int>(outcome.done),
                static_cast<int>(outcome.already_done), static_cast<int>(outcome.failed),
                static_cast<int>(outcome.skipped));
    for (const auto& page : pages) std::printf("%s\n", page.c_str());
  }
  return outcome.failed > 0 ? 1 : 0;
}

std::optional<BudgetRequest> budget_of(const MainJobOptions& options) {
  if (options.match.empty() && options.like.empty()) return std::nullopt;
  return budget_request(budget_named(options.match, options.like), find_architecture(options.like).name,
                        {options.data_root, options.output});
}

int run_main_job(MainJobOptions options) {
  take_data_root_from_paths(options);
  complete_request(options);
  options.request.budget = budget_of(options);
  const std::vector<RunConfig> runs = expand(options.request);
  require_folds(runs, {options.data_root, options.output});
  require_writable(options.output, "--out");
  HarnessOptions harness;
  harness.output = options.output;
  harness.data_root = options.data_root;
  harness.fresh = options.fresh;
  harness.command = options.command_line;
  std::vector<PlannedRun> plan = plan_runs(runs, harness, options.dry_run);
  if (!options.dry_run) return run_traced(options.trace, [&] { return run_and_report(plan, options, harness); });
  if (options.json) return print_json(plan_json(plan));
  print_plan(plan);
  return 0;
}

void add_options(CLI::App& app, MainJobOptions& options) {
  SuiteRequest& request = options.request;
  app.add_option("--suite", request.suite, "suite to run: a name (list suites) or a file")->type_name("NAME|FILE.yaml");
  app.add_option("--recipe", request.recipe,
                 "how to train, in the place of the suite's recipe (list recipes), or a file")
      ->type_name("NAME|FILE.yaml");
  app.add_option("--dataset", options.datasets, "name (list datasets), nnU-Net id, folder name or path")
      ->type_name("NAME");
  app.add_option("--architecture", request.architectures, "these instead of the suite's; * and ? match")
      ->type_name("NAME");
  app.add_option("--fold", options.folds, "0 to 4 (default 0), all: each in turn, everything: train on all cases");
  app.add_option("--device", request.device, "cpu (default) or cuda")->check(one_of("--device", {"cpu", "cuda"}));
  app.add_option("--precision", request.precision, "fp32 (default), bf16 or fp16")
      ->check(one_of("--precision", {"fp32", "bf16", "fp16"}));
  app.add_option("--seed", request.seeds, "instead of the suite's seeds");
  app.add_option("--axis", request.axes, "values of an axis instead of the suite's, as in scan=[single,tri]")
      ->type_name("NAME=[a,b]");
  app.add_option("--set", request.set, "a setting or an architecture's option, as in train.epochs=5, model.merge=sum")
      ->type_name("KEY=VALUE");
  add_match_options(app, options.match, options.like);
  app.add_option("--shard", options.shard, "only every n-th run, beginning with the i-th")->type_name("i/n");
  app.add_option("--out", options.output, "where results go (default m3d-results)")->type_name("DIR");
  app.add_option("--data-root", options.data_root, "where datasets lie (else nnUNet_raw)")->type_name("DIR");
  app.add_option("--trace", options.trace,
                 "write a trace of the operators called (Kineto, Chrome's JSON); for short jobs")
      ->type_name("FILE");
  app.add_flag("--dry-run", options.dry_run, "show the plan with parameters, MACs and states; write nothing");
  app.add_flag("--fresh", options.fresh, "repeat runs that are done already");
  app.add_flag("--json", options.json, "one JSON document on stdout");
}

}  // namespace

void add_main_job(CLI::App& app, Command& chosen, const std::string& command_line) {
  auto options = std::make_shared<MainJobOptions>();
  options->command_line = command_line;
  add_options(app, *options);
  app.callback([options, &app, &chosen] {
    const bool asked = app.count_all() > 1 && app.get_subcommands().empty();
    if (asked) chosen = [options] { return run_main_job(*options); };
  });
}

}  // namespace m3d
