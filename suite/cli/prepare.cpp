// m3d-bench prepare: makes an embedded dataset or converts a downloaded one, and checks every case.
#include <algorithm>
#include <cstdio>
#include <mutex>

#include "common/error.h"
#include "common/log.h"
#include "datasets/convert_dataset.h"
#include "datasets/disk_need.h"
#include "datasets/parallel_cases.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

struct PrepareOptions {
  std::string dataset, source, data_root, output = "m3d-results", link = "symlink";
  int workers = default_case_threads();
  bool json = false;
};

LinkMode link_mode(const std::string& name) {
  if (name == "hard") return LinkMode::hard;
  return name == "copy" ? LinkMode::copy : LinkMode::symbolic;
}

/// Says what will be written where and stops when it does not fit.
void announce(const ConversionOutlook& outlook, std::size_t channels) {
  for (const std::string& warning : outlook.warnings) log(LogLevel::warning, outlook.dataset + ": " + warning);
  const std::int64_t later = preprocessed_bytes(outlook.first_channels, channels);
  log(LogLevel::info,
      "converting " + std::to_string(outlook.training) + " training and " + std::to_string(outlook.test) +
          " test cases of " + outlook.dataset + "\n" +
          require_disk({{outlook.folder, outlook.bytes, "converted"}, {outlook.folder, later, "preprocessed"}}));
}

/// The folder, id or name that open_dataset then takes.
std::string converted(const PrepareOptions& options) {
  if (options.source.empty()) return options.dataset;
  if (is_raw_folder(options.source)) return (fs::absolute(options.source) / "").string();
  const ConversionRequest request{
      options.dataset, options.source, {options.data_root, options.output}, link_mode(options.link), options.workers};
  const ConversionOutlook outlook = look_at_conversion(request);
  announce(outlook, dataset_descriptor(outlook.dataset)["channel_names"].size());
  return (fs::absolute(convert_dataset(request)) / "").string();
}

/// Messages of the cases that cannot be used, in the order of the cases.
std::vector<std::string> check_cases(const Dataset& dataset, int workers) {
  std::mutex mutex;
  std::map<std::size_t, std::string> bad;
  for_each_case(dataset.training.size(), workers, "checking cases of " + dataset.name, [&](std::size_t i) {
    try {
      load_case(dataset, dataset.training[i]);
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

int run_prepare(const PrepareOptions& options) {
  const Dataset dataset = open_dataset(converted(options), {options.data_root, options.output});
  const std::vector<std::string> bad = check_cases(dataset, options.workers);
  const Json summary = summary_of(dataset, bad);
  if (options.json) {
    print_json(summary);
  } else {
    std::printf("%s: %zu cases, %zu channels, %zu classes in %s; %zu unusable\n", dataset.name.c_str(),
                dataset.training.size(), dataset.channel_names.size(), dataset.classes.size(), dataset.folder.c_str(),
                bad.size());
  }
  return bad.empty() ? 0 : 1;
}

}  // namespace

void add_prepare(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<PrepareOptions>();
  CLI::App* prepare = app.add_subcommand(
      "prepare",
      "Convert a downloaded dataset to nnU-Net v2's raw form (or make an embedded one), and check every case: "
      "geometry, "
      "labels, NaN. An interrupted conversion goes on where it was. Cropping and normalisation follow at run time.");
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
  prepare->add_flag("--json", options->json, "one JSON document on stdout");
  prepare->callback([options, &chosen] { chosen = [options] { return run_prepare(*options); }; });
}

}  // namespace m3d
