// m3d-bench evaluate: predictions of a folder against references.
#include <cstdio>

#include "common/atomic_file.h"
#include "common/error.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"
#include "suite/evaluate/evaluate_folders.h"

namespace m3d {
namespace {

struct EvaluateOptions {
  std::string predictions, references, dataset, labels, data_root, summary;
  bool json = false;
};

EvaluationLabels labels_of(const EvaluateOptions& options) {
  if (options.dataset.empty() == options.labels.empty())
    throw UserError("evaluate needs either --dataset NAME or --labels FILE: they say which label is which structure");
  if (!options.labels.empty()) return evaluation_labels(std::filesystem::path(options.labels));
  return evaluation_labels(describe_dataset(options.dataset, {options.data_root, ""}));
}

std::string number_or_dash(const Json& value) {
  if (!value.is_number()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", value.get<double>());
  return text;
}

void print_metrics(const Json& metrics) {
  std::vector<std::vector<std::string>> rows = {{"class", "Dice", "HD95 [mm]", "NSD", "missed"}};
  for (const auto& [name, value] : metrics.at("per_class").items()) {
    const Json missed = metrics.at("missed").value(name, Json(0));
    rows.push_back({name, number_or_dash(value.at("dice")), number_or_dash(value.at("hd95_mm")),
                    number_or_dash(value.at("nsd")), missed.dump()});
  }
  rows.push_back({"mean", number_or_dash(metrics.at("mean_dice")), number_or_dash(metrics.at("mean_hd95_mm")),
                  number_or_dash(metrics.at("mean_nsd")), ""});
  print_table(rows);
}

int run_evaluate(const EvaluateOptions& options) {
  if (!options.summary.empty())
    require_writable(std::filesystem::absolute(options.summary).parent_path(), "--summary");
  const Evaluation evaluation = evaluate_folders(options.predictions, options.references, labels_of(options));
  if (!options.summary.empty()) write_atomically(options.summary, summary_text(evaluation));
  const Json metrics = metrics_json(evaluation);
  if (options.json) return print_json(metrics);
  print_metrics(metrics);
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<EvaluateOptions>();
  CLI::App* evaluate = app.add_subcommand("evaluate",
                                          "Dice, HD95 and NSD of label maps (NIfTI, .mha, .nrrd, .gipl) against "
                                          "references with the same names.");
  evaluate->footer(
      "Examples:\n"
      "  m3d-bench evaluate --predictions out --references labelsTr --labels dataset.json\n"
      "  m3d-bench evaluate --predictions out --references labelsTr --dataset phantom_mri --json");
  evaluate->add_option("--predictions", options->predictions, "folder of predictions")->required()->type_name("DIR");
  evaluate->add_option("--references", options->references, "folder of references")->required()->type_name("DIR");
  evaluate->add_option("--dataset", options->dataset, "take the labels of this dataset");
  evaluate->add_option("--labels", options->labels, "a file with 'labels' as in nnU-Net's dataset.json");
  evaluate->add_option("--data-root", options->data_root, "where --dataset is searched")->type_name("DIR");
  evaluate->add_option("--summary", options->summary, "also write nnU-Net's summary.json to this file")
      ->type_name("FILE");
  evaluate->add_flag("--json", options->json, "one JSON document on stdout (the record's metrics)");
  evaluate->callback([options, &chosen] { chosen = [options] { return run_evaluate(*options); }; });
}

}  // namespace m3d
