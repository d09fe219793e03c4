// Records of kinds "metrics" and "region_metrics".
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "suite/evaluate/metrics.h"
#include "suite/infer/export.h"
#include "suite/verify/record_values.h"

namespace m3d {
namespace {

constexpr double kTolerance = 1e-9;
constexpr double kSingle = 1e-6;

using Value = std::optional<double>;

struct Pair {
  LabelImage prediction, reference;
};

/// The record's spacing replaces the headers', which hold float32.
Pair read_pair(const std::filesystem::path& folder, const Json& entry) {
  Pair pair{read_labels(folder / entry.at("files").at(0).get<std::string>()),
            read_labels(folder / entry.at("files").at(1).get<std::string>())};
  const auto spacing = entry.at("spacing_zyx").get<std::array<double, 3>>();
  pair.prediction.geometry.spacing_mm = pair.reference.geometry.spacing_mm = spacing;
  return pair;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> pooled(const SurfaceDistances& distances) {
  std::vector<double> all = distances.prediction_to_reference;
  all.insert(all.end(), distances.reference_to_prediction.begin(), distances.reference_to_prediction.end());
  return all;
}

/// All values of one structure under the records' names.
class Structure {
 public:
  Structure(const Pair& pair, const LabelClass& label_class) : pair_(pair), label_class_(label_class) {
    metrics_ = evaluate_case(pair.prediction, pair.reference, {label_class}, 1.0).front();
    add_counts();
    if (metrics_.prediction_voxels() > 0 && metrics_.reference_voxels() > 0) add_distances();
  }

  /// The value called `name`; nothing where it is undefined.
  Value at(const std::string& name) const {
    if (const double tolerance = number_in(name, "nsd_(?:voxel_)?([0-9.]+)mm", -1); tolerance >= 0)
      return evaluate_case(pair_.prediction, pair_.reference, {label_class_}, tolerance).front().nsd;
    const auto found = values_.find(name);
    return found == values_.end() ? std::nullopt : found->second;
  }

  bool one_is_empty() const { return metrics_.prediction_voxels() == 0 || metrics_.reference_voxels() == 0; }

 private:
  void add_counts() {
    const auto& spacing = pair_.reference.geometry.spacing_mm;
    const double voxel_mm3 = spacing[0] * spacing[1] * spacing[2];
    const auto number = [](std::int64_t count) { return static_cast<double>(count); };
    values_ = {{"tp", number(metrics_.true_positive)},
               {"fp", number(metrics_.false_positive)},
               {"fn", number(metrics_.false_negative)},
               {"tn", number(metrics_.true_negative)},
               {"n_pred", number(metrics_.prediction_voxels())},
               {"n_ref", number(metrics_.reference_voxels())},
               {"volume_pred_mm3", number(metrics_.prediction_voxels()) * voxel_mm3},
               {"volume_ref_mm3", number(metrics_.reference_voxels()) * voxel_mm3},
               {"dice_eq8", metrics_.dice},
               {"hd95_eq10", metrics_.hd95_mm},
               {"monai_hd95_float32", metrics_.hd95_mm}};
    const double joint = number(metrics_.true_positive + metrics_.false_positive + metrics_.false_negative);
    if (joint > 0) values_["iou"] = number(metrics_.true_positive) / joint;
  }

  void add_distances() {
    const SurfaceDistances distances = surface_distances(pair_.prediction, pair_.reference, {label_class_}).front();
    const std::vector<double>&to_reference = distances.prediction_to_reference,
          &to_prediction = distances.reference_to_prediction;
    const std::vector<double> all = pooled(distances);
    values_["n_surface_pred"] = static_cast<double>(to_reference.size());
    values_["n_surface_ref"] = static_cast<double>(to_prediction.size());
    values_["hd100"] = *std::max_element(all.begin(), all.end());
    values_["d95_pred_to_ref"] = percentile(to_reference, 95);
    values_["d95_ref_to_pred"] = percentile(to_prediction, 95);
    values_["assd"] = (mean(to_reference) + mean(to_prediction)) / 2;
    values_["asd_pooled"] = values_["medpy_assd"] = mean(all);
    values_["medpy_hd95_pooled_percentile"] = percentile(all, 95);
    Pair unit = pair_;
    unit.reference.geometry.spacing_mm = {1, 1, 1};
    values_["medpy_hd95_without_voxelspacing"] =
        percentile(pooled(surface_distances(unit.prediction, unit.reference, {label_class_}).front()), 95);
  }

  const Pair& pair_;
  LabelClass label_class_;
  StructureMetrics metrics_;
  std::map<std::string, Value> values_;
};

/// Every value that voxel masks define. Distances between marching-cube surfaces ("surfacedistance_*") are another
/// definition, which this suite does not offer. Where one mask is empty the voxel NSD of the records is undefined, and
/// the rule followed here, NSD 0, is the record's "monai_nsd_*".
void compare_structure(RecordComparison& compare, const std::string& name, const Structure& structure,
                       const Json& expected) {
  for (const auto& [key, value] : expected.items()) {
    if (key.starts_with("surfacedistance_")) continue;
    if (key.starts_with("nsd_voxel") && structure.one_is_empty()) continue;
    const Value actual = structure.at(key);
    const std::string what = name + " " + key;
    if (!value.is_number() || !actual) {
      compare.exact(what, !value.is_number() && !actual,
                    "expected " + value.dump() + ", got " + (actual ? Json(*actual).dump() : "undefined"));
      continue;
    }
    const double number = value.get<double>();
    if (key.ends_with("_float32"))
      compare.exact(what, std::abs(*actual - number) <= kSingle * std::max(1.0, std::abs(number)),
                    "expected " + value.dump() + ", got " + Json(*actual).dump());
    else
      compare.number(what, *actual, number, std::max(1.0, std::abs(number)), kTolerance);
  }
}

torch::Tensor tensor_of(const LabelImage& image) {
  return torch::tensor(std::vector<std::int64_t>(image.voxels.begin(), image.voxels.end()))
      .reshape(at::IntArrayRef(image.shape().data(), 3));
}

LabelImage relabelled(LabelImage image, const std::map<std::int16_t, std::int16_t>& new_values) {
  for (std::int16_t& voxel : image.voxels)
    if (const auto found = new_values.find(voxel); found != new_values.end()) voxel = found->second;
  return image;
}

// BraTS's label values from 2021 (1 core, 2 oedema, 4 enhancing) to 2023's and to nnU-Net's (1 oedema, 2 core).
const std::map<std::int16_t, std::int16_t> kTo2023 = {{4, 3}};
const std::map<std::int16_t, std::int16_t> kToNnunet = {{1, 2}, {2, 1}, {4, 3}};
const std::map<std::int16_t, std::int16_t> kFromNnunet = {{1, 2}, {2, 1}, {3, 4}};

std::vector<LabelClass> classes_of(const Json& regions) {
  std::vector<LabelClass> classes;
  for (const auto& [name, values] : regions.items()) classes.push_back({name, values.get<std::vector<int>>()});
  return classes;
}

/// The same structures in each of the three conventions: regions in the order of the record's "metrics".
void compare_regions(RecordComparison& compare, const Json& record, const Pair& raw) {
  const std::vector<std::tuple<std::string, std::string, std::map<std::int16_t, std::int16_t>>> conventions = {
      {"regions_raw_2021", "raw_2021", {}},
      {"regions_raw_2023", "brats2023_convention", kTo2023},
      {"regions_nnunet_dataset137", "nnunet_dataset137", kToNnunet}};
  for (const auto& [regions, counts, new_values] : conventions) {
    const Pair pair{relabelled(raw.prediction, new_values), relabelled(raw.reference, new_values)};
    compare_label_map(compare, counts + " prediction", tensor_of(pair.prediction),
                      record.at("label_counts").at("pred").at(counts));
    compare_label_map(compare, counts + " reference", tensor_of(pair.reference),
                      record.at("label_counts").at("ref").at(counts));
    const std::vector<LabelClass> classes = classes_of(record.at(regions));
    std::size_t index = 0;
    for (const auto& [name, expected] : record.at("metrics").items())
      compare_structure(compare, counts + " " + name, Structure(pair, classes.at(index++)), expected);
  }
}

/// Region logits painted to a label map, and its values translated back to those of 2021.
void compare_decoding(RecordComparison& compare, const Json& record) {
  const Json& decode = record.at("region_decode");
  const std::vector<std::int64_t> shape = decode.at("label_map").at("shape");
  Dataset dataset;
  dataset.region_based = true;
  dataset.classes = classes_of(record.at("regions_nnunet_dataset137"));
  dataset.regions_class_order = decode.at("regions_class_order").get<std::vector<int>>();
  PreparedCase prepared;
  prepared.shape = prepared.original.shape = {shape.at(0), shape.at(1), shape.at(2)};
  const auto channels = static_cast<std::int64_t>(dataset.classes.size());
  const torch::Tensor logits = 2 * named_tensor("region_logits", {channels, shape[0], shape[1], shape[2]});
  const LabelImage labels = labels_from_logits(logits.to(torch::kFloat), dataset, prepared);
  compare.exact("region decoding", labels.voxels == decode.at("label_map_flat").get<std::vector<std::int16_t>>());
  compare_label_map(compare, "region decoding", tensor_of(labels), decode.at("label_map"));
  compare_label_map(compare, "labels of 2021", tensor_of(relabelled(labels, kFromNnunet)),
                    decode.at("label_map_back_to_brats2021"));
}

}  // namespace

RecordCheck verify_metrics(const Json& record, const std::filesystem::path& folder) {
  RecordComparison compare;
  for (const auto& [name, entry] : record.at("cases").items()) {
    const Pair pair = read_pair(folder, entry);
    compare.exact(name + " shape", pair.reference.shape() == entry.at("shape_zyx").get<Shape3>());
    for (const auto& [label, expected] : entry.at("per_label").items())
      compare_structure(compare, name + " label " + label, Structure(pair, {label, {std::stoi(label)}}), expected);
  }
  return compare.result(record.value("name", "metrics"), "metrics");
}

RecordCheck verify_region_metrics(const Json& record, const std::filesystem::path& folder) {
  RecordComparison compare;
  compare_regions(compare, record, read_pair(folder, record));
  compare_decoding(compare, record);
  return compare.result(record.value("name", "region_metrics"), "region_metrics");
}

}  // namespace m3d
