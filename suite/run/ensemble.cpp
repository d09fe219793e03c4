// Means of the probabilities that several predictions saved.
#include <torch/torch.h>

#include <algorithm>
#include <set>

#include "common/error.h"
#include "common/interrupt.h"
#include "common/log.h"
#include "suite/infer/export.h"
#include "suite/infer/probability_file.h"
#include "suite/run/harness.h"
#include "suite/run/run_folder.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEnding = ".npy";
constexpr std::int64_t kPlanes = 16;  // in memory at a time

std::set<std::string> cases_in(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw UserError("--input " + folder.string() + ": no such folder");
  std::set<std::string> ids;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == kEnding) ids.insert(entry.path().stem());
  if (ids.empty())
    throw UserError("--input " + folder.string() +
                    ": no probabilities (.npy); predict with --save-probabilities into this folder");
  return ids;
}

std::string classes_text(const Dataset& dataset) {
  std::string text = dataset.region_based ? "regions" : "labels";
  for (const LabelClass& one : dataset.classes) text += " " + one.name + "=" + Json(one.values).dump();
  return text;
}

/// The cases, which all folders have, with the same classes.
std::set<std::string> common_cases(const std::vector<fs::path>& folders, const Dataset& dataset) {
  const std::set<std::string> ids = cases_in(folders.front());
  for (const fs::path& folder : folders) {
    const Dataset other = read_prediction_context(folder).dataset;
    if (classes_text(other) != classes_text(dataset))
      throw UserError("--input " + folder.string() + " predicts " + classes_text(other) + ", and " +
                      folders.front().string() + " " + classes_text(dataset) + "; only equal ones can be averaged");
    const std::set<std::string> others = cases_in(folder);
    std::vector<std::string> different;
    std::set_symmetric_difference(ids.begin(), ids.end(), others.begin(), others.end(), std::back_inserter(different));
    if (!different.empty())
      throw UserError("--input " + folder.string() + " and " + folders.front().string() +
                      " hold other cases; one of them lacks '" + different.front() + "'");
  }
  return ids;
}

LabelImage mean_labels(const std::vector<fs::path>& folders, const std::string& id, const Dataset& dataset) {
  std::vector<ProbabilityReader> readers;
  for (const fs::path& folder : folders) readers.emplace_back(folder / (id + kEnding));
  PreparedCase whole;
  whole.id = id;
  whole.original = read_geometry(folders.front() / (id + ".nii.gz"));
  whole.shape = whole.original.shape;
  for (std::size_t i = 0; i < readers.size(); ++i)
    if (readers[i].shape() != whole.shape || readers[i].channels() != output_channels(dataset))
      throw UserError((folders[i] / (id + kEnding)).string() + ": its shape is not that of " +
                      (folders.front() / (id + ".nii.gz")).string());
  LabelPainter painter(dataset, whole);
  for (std::int64_t first = 0; first < whole.shape[0]; first += kPlanes) {
    const std::int64_t count = std::min(kPlanes, whole.shape[0] - first);
    at::Tensor sum = readers.front().planes(first, count);
    for (std::size_t i = 1; i < readers.size(); ++i) sum.add_(readers[i].planes(first, count));
    sum.div_(static_cast<double>(readers.size()));
    painter.add(first, dataset.region_based ? sum.sub_(0.5) : sum);  // painted where the logit, or this, is above 0
  }
  return painter.take();
}

}  // namespace

void ensemble_folders(const std::vector<fs::path>& folders, const fs::path& output) {
  const Dataset dataset = read_prediction_context(folders.front()).dataset;
  const std::set<std::string> ids = common_cases(folders, dataset);
  long done = 0;
  for (const std::string& id : ids) {
    if (interrupt_requested()) throw Interrupted();
    write_labels(output / (id + ".nii.gz"), mean_labels(folders, id, dataset));
    progress("averaging", ++done, static_cast<long>(ids.size()));
  }
}

}  // namespace m3d
