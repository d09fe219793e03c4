// m3d-bench prepare: makes an embedded dataset or converts a downloaded one, checks every case, plans and preprocesses.
#include <algorithm>
#include <cstdio>
#include <mutex>

#include "ablations/plan_choice.h"
#include "common/error.h"
#include "common/log.h"
#include "datasets/catalogue/convert_dataset.h"
#include "datasets/catalogue/disk_need.h"
#include "datasets/parallel_cases.h"
#include "datasets/planning/dataset_plan.h"
#include "datasets/preprocessing/preprocessed_cases.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"
#include "suite/run/run_plan.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

struct PrepareOptions {
  std::string dataset, source, data_root, output = "m3d-results", link = "symlink", plan = "auto";
  std::vector<std::string> configurations{"3d_fullres"};
  int workers = default_case_threads();
  bool rebuild = false, json = false;
};

LinkMode link_mode(const std::string& name) {
  if (name == "hard") return LinkMode::hard;
  return name == "copy" ? LinkMode::copy : LinkMode::symbolic;
}

DiskNeed need_of_preprocessing(const PrepareOptions& options, const std::vector<fs::path>& first_channels,
                               std::size_t channels, const fs::path& raw) {
  const auto times = options.plan == "none" ? 0 : std::ssize(options.configurations);
  return {preprocessed_folder(raw), times * preprocessed_bytes(first_channels, channels), "preprocessed"};
}

/// Says what will be written where and stops when it does not fit.
void announce(const PrepareOptions& options, const ConversionOutlook& outlook) {
  for (const std::string& warning : outlook.warnings) log(LogLevel::warning, outlook.dataset + ": " + warning);
  const std::size_t channels = dataset_descriptor(outlook.dataset)["channel_names"].size();
  log(LogLevel::info,
      "converting " + std::to_string(outlook.training) + " training and " + std::to_string(outlook.test) +
          " test cases of " + outlook.dataset + "\n" +
          require_disk({{outlook.folder, outlook.bytes, "converted"},
                        need_of_preprocessing(options, outlook.first_channels, channels, outlook.folder)}));
}

bool converts(const PrepareOptions& options) { return !options.source.empty() && !is_raw_folder(options.source); }

/// The folder, id or name that open_dataset then takes.
std::string converted(const PrepareOptions& options) {
  if (options.source.empty()) return options.dataset;
  if (!converts(options)) return (fs::absolute(options.source) / "").string();
  const ConversionRequest request{
      options.dataset, options.source, {options.data_root, options.output}, link_mode(options.link), options.workers};
  announce(options, look_at_conversion(request));
  return (fs::absolute(convert_dataset(request)) / "").string();
}

/// Messages of the cases that cannot be used, in the order of the cases.
std::vector<std::string> check_cases(const Dataset& dataset, const std::vector<CaseFiles>& cases, int workers) {
  std::mutex mutex;
  std::map<std::size_t, std::string> bad;
  for_each_case(cases.size(), workers, "checking cases of " + dataset.name, [&](std::size_t i) {
    try {
      load_case(dataset, cases[i]);
    } catch (const UserError& error) {
      const std::lock_guard lock(mutex);
      bad[i] = error.what();
      log(LogLevel::error, error.what());
    }
  });
  std::vector<std::string> messages;
  for (const auto& [index, message] : bad) messages.push_back(message);
  return messages;
}

Json summary_of(const Dataset& dataset, const std::vector<std::string>& bad) {
  Json classes = Json::array(), splits = Json::object();
  for (const auto& label : dataset.classes) classes.push_back(label.name);
  for (const auto& [name, description] : split_names(dataset)) splits[name] = description;
  return {{"dataset", dataset.name},
          {"folder", dataset.folder.string()},
          {"cases", dataset.training.size()},
          {"channels", dataset.channel_names},
          {"classes", classes},
          {"region_based", dataset.region_based},
          {"splits", splits},
          {"unusable_cases", bad}};
}

/// Checks, plans and preprocesses the cases of one dataset.
class Preparation {
 public:
  /// `announced`: what disk all cases need was said before they were converted.
  Preparation(const PrepareOptions& options, const Dataset& dataset, bool announced)
      : options_(options), dataset_(dataset), announced_(announced), folder_(preprocessed_folder(dataset)) {
    settings_.plan = resolved_plan(options.plan, dataset.embedded, "--plan");
  }

  /// Empty `bad` means that all is done. Fingerprint and preprocessing check every case that they read: only when they
  /// refuse one are all looked at, so that one call names every unusable case.
  void run() {
    if (settings_.plan == "none") {
      bad_ = check_cases(dataset_, dataset_.training, options_.workers);
      return;
    }
    const std::vector<CaseFiles> left = cases_left();
    try {
      plan_and_preprocess();
    } catch (const UserError&) {
      bad_ = check_cases(dataset_, left, options_.workers);
      if (bad_.empty()) throw;
    }
  }

  const std::vector<std::string>& bad() const { return bad_; }
  const Json& configurations() const { return prepared_; }

 private:
  /// Those that some configuration lacks, or all where there is no plan yet. Says what disk they need, unless that was
  /// said, and throws UserError where it is not there.
  std::vector<CaseFiles> cases_left() {
    std::vector<CaseFiles> left;
    RunPlans plans(RunPlans::Purpose::estimate);
    for (const std::string& configuration : options_.configurations) {
      settings_.configuration = configuration;
      const RunPlan plan = *plans.get(settings_, dataset_);
      auto cases = options_.rebuild ? dataset_.training : cases_to_preprocess(dataset_, plan.configuration, folder_);
      if (cases.size() > left.size()) left = std::move(cases);
    }
    std::vector<fs::path> first_channels;
    for (const CaseFiles& files : left) first_channels.push_back(files.channels.front());
    if (left.empty()) return left;
    const DiskNeed need =
        need_of_preprocessing(options_, first_channels, dataset_.channel_names.size(), dataset_.folder);
    const std::string disk = require_disk({need});
    if (!announced_)
      log(LogLevel::info, "preparing " + std::to_string(left.size()) + " cases of " + dataset_.name + "\n" + disk);
    return left;
  }

  void plan_and_preprocess() {
    if (options_.rebuild)
      if (const auto planner = planner_of(settings_.plan)) forget_plans(folder_, *planner);
    RunPlans plans(RunPlans::Purpose::run);
    for (const std::string& configuration : options_.configurations) {
      settings_.configuration = configuration;
      preprocess(*plans.get(settings_, dataset_));
    }
  }

  void preprocess(const RunPlan& plan) {
    const PlanConfiguration& configuration = plan.configuration;
    const auto failures =
        preprocess_cases(dataset_, plan.plans, configuration, folder_, {{}, options_.workers, options_.rebuild});
    for (const std::string& failure : failures) log(LogLevel::error, failure);
    bad_.insert(bad_.end(), failures.begin(), failures.end());
    prepared_[configuration.name] = {{"plans", plan.plans.name()},
                                     {"plans_hash", plan.plans.hash()},
                                     {"folder", (folder_ / configuration.data_identifier).string()},
                                     {"spacing_mm", configuration.spacing},
                                     {"patch", configuration.patch_size},
                                     {"batch_size", configuration.batch_size}};
  }

  const PrepareOptions& options_;
  const Dataset& dataset_;
  bool announced_;
  fs::path folder_;
  DataSettings settings_;
  std::vector<std::string> bad_;
  Json prepared_ = Json::object();
};

void print_summary(const Dataset& dataset, const Preparation& preparation) {
  std::printf("%s: %zu cases, %zu channels, %zu classes in %s; %zu unusable\n", dataset.name.c_str(),
              dataset.training.size(), dataset.channel_names.size(), dataset.classes.size(), dataset.folder.c_str(),
              preparation.bad().size());
  for (const auto& [name, one] : preparation.configurations().items())
    std::printf("%s of %s: spacing %s mm, patch %s, batch %s in %s\n", name.c_str(),
                one["plans"].get<std::string>().c_str(), one["spacing_mm"].dump().c_str(), one["patch"].dump().c_str(),
                one["batch_size"].dump().c_str(), one["folder"].get<std::string>().c_str());
}

int run_prepare(const PrepareOptions& options) {
  const Dataset dataset = open_dataset(converted(options), {options.data_root, options.output});
  require_raw(dataset, "there is nothing to prepare");
  Preparation preparation(options, dataset, converts(options));
  preparation.run();
  if (options.json) {
    Json summary = summary_of(dataset, preparation.bad());
    if (!preparation.configurations().empty()) summary["preprocessed"] = preparation.configurations();
    print_json(summary);
  } else {
    print_summary(dataset, preparation);
  }
  return preparation.bad().empty() ? 0 : 1;
}

}  // namespace

void add_prepare(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<PrepareOptions>();
  CLI::App* prepare = app.add_subcommand(
      "prepare",
      "Convert a downloaded dataset to nnU-Net v2's raw form (or make an embedded one), check every case (geometry, "
      "labels, NaN), plan and preprocess as nnU-Net v2 does, into $nnUNet_preprocessed (else nnUNet_preprocessed "
      "beside "
      "the raw data). What is interrupted goes on where it was; what nnU-Net preprocessed is used as it is.");
  prepare->footer(
      "Examples:\n"
      "  m3d-bench prepare --dataset totalseg_mri --source TotalsegmentatorMRI_dataset_v200 --data-root nnUNet_raw\n"
      "  m3d-bench prepare --dataset totalseg_ct:version=v1,group=organs --source Totalsegmentator_dataset\n"
      "  m3d-bench prepare --dataset amos22 --source nnUNet_raw/Dataset219_AMOS2022_postChallenge_task2\n"
      "  m3d-bench prepare --dataset phantom_ct");
  prepare
      ->add_option("--dataset", options->dataset,
                   "name (with options, NAME:key=value,…), nnU-Net id, folder name or path")
      ->required();
  prepare->add_option("--source", options->source, "the unpacked download, or an nnU-Net v2 raw folder")
      ->type_name("DIR");
  prepare->add_option("--data-root", options->data_root, "where datasets lie (else nnUNet_raw)")->type_name("DIR");
  prepare->add_option("--out", options->output, "datasets go to DIR/data without a data root")->type_name("DIR");
  prepare
      ->add_option("--link", options->link,
                   "files that can be used as they are become symlink (default: no disk, the download must stay), hard "
                   "(no disk, one file system) or copy")
      ->check(one_of("--link", {"symlink", "hard", "copy"}));
  prepare->add_option("--workers", options->workers, "cases worked on at a time (default: one a processor)")
      ->check(CLI::Range(1, 256));
  prepare->add_option("--plan", options->plan,
                      "nnU-Net's planner (plain, resenc, resenc_m, resenc_l, resenc_xl), an nnUNetPlans.json, or none; "
                      "auto (default): plain, and none for embedded datasets");
  prepare->add_option("--configuration", options->configurations, "of the plan (default 3d_fullres)");
  prepare->add_flag("--rebuild", options->rebuild, "make fingerprint, plan and preprocessed cases anew");
  prepare->add_flag("--json", options->json, "one JSON document on stdout");
  prepare->callback([options, &chosen] { chosen = [options] { return run_prepare(*options); }; });
}

}  // namespace m3d
