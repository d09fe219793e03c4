// m3d-bench prepare: makes an embedded dataset, checks every case of any dataset.
#include <algorithm>
#include <cstdio>

#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "datasets/dataset.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

struct PrepareOptions {
  std::string dataset, source, data_root, output = "m3d-results";
  bool json = false;
};

std::string typed_name(const PrepareOptions& options) {
  if (options.source.empty()) return options.dataset;
  if (!fs::is_regular_file(fs::path(options.source) / "dataset.json"))
    throw UserError("--source " + options.source + " has no dataset.json: this build reads nnU-Net v2 raw folders " +
                    "(dataset.json, imagesTr/, labelsTr/); convert the dataset to that form first");
  return (fs::absolute(options.source) / "").string();
}

/// Messages of the cases that cannot be used.
std::vector<std::string> check_cases(const Dataset& dataset) {
  std::vector<std::string> bad;
  const auto total = static_cast<long>(dataset.training.size());
  for (long i = 0; i < total; ++i) {
    if (interrupt_requested()) throw Interrupted();
    try {
      load_case(dataset, dataset.training[static_cast<std::size_t>(i)]);
    } catch (const UserError& error) {
      bad.push_back(error.what());
      log(LogLevel::error, error.what());
    }
    progress("checking cases of " + dataset.name, i + 1, total);
  }
  return bad;
}

Json summary_of(const Dataset& dataset, const std::vector<std::string>& bad) {
  Json classes = Json::array();
  for (const auto& label : dataset.classes) classes.push_back(label.name);
  return {{"dataset", dataset.name},
          {"folder", dataset.folder.string()},
          {"cases", dataset.training.size()},
          {"channels", dataset.channel_names},
          {"classes", classes},
          {"region_based", dataset.region_based},
          {"unusable_cases", bad}};
}

int run_prepare(const PrepareOptions& options) {
  const Dataset dataset = open_dataset(typed_name(options), {options.data_root, options.output});
  const std::vector<std::string> bad = check_cases(dataset);
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
  CLI::App* prepare = app.add_subcommand("prepare",
                                         "Make an embedded dataset, and check every case of any dataset in nnU-Net "
                                         "v2's raw form (geometry, labels, NaN). Cropping and normalisation follow "
                                         "at run time.");
  prepare->footer(
      "Examples:\n"
      "  m3d-bench prepare --dataset phantom_ct\n"
      "  m3d-bench prepare --dataset amos22 --source nnUNet_raw/Dataset219_AMOS2022_postChallenge_task2");
  prepare->add_option("--dataset", options->dataset, "name, nnU-Net id, folder name or path")->required();
  prepare->add_option("--source", options->source, "the dataset's nnU-Net v2 raw folder")->type_name("DIR");
  prepare->add_option("--data-root", options->data_root, "where datasets lie (else nnUNet_raw)")->type_name("DIR");
  prepare->add_option("--out", options->output, "embedded datasets go to DIR/data without a data root")
      ->type_name("DIR");
  prepare->add_flag("--json", options->json, "one JSON document on stdout");
  prepare->callback([options, &chosen] { chosen = [options] { return run_prepare(*options); }; });
}

}  // namespace m3d
