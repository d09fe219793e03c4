// Records of kinds "planner" and "preprocessing".
#include <cmath>

#include "common/error.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/planning/dataset_fingerprint.h"
#include "datasets/planning/planner.h"
#include "datasets/preprocessing/planned_preprocessing.h"
#include "suite/infer/export.h"
#include "suite/infer/probability_file.h"
#include "suite/verify/record_values.h"

namespace m3d {
namespace {

namespace fs = std::filesystem;

constexpr double kPlanned = 1e-9;     // relative, of spacings
constexpr double kPrepared = 1e-5;    // absolute, of normalised voxels and probabilities
constexpr double kStatistics = 1e-5;  // relative: nnU-Net's are float32 sums

/// Every leaf of `expected` must be in `actual`: numbers nearly, all else exactly.
void compare_tree(RecordComparison& compare, const std::string& where, const Json& actual, const Json& expected,
                  double tolerance) {
  if (expected.is_number() && actual.is_number()) {
    const double value = expected.get<double>();
    compare.number(where, actual.get<double>(), value, std::abs(value), tolerance);
  } else if (expected.is_array() && actual.is_array() && actual.size() == expected.size()) {
    for (std::size_t i = 0; i < expected.size(); ++i)
      compare_tree(compare, where + "/" + std::to_string(i), actual[i], expected[i], tolerance);
  } else if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items())
      compare_tree(compare, where + "/" + key, actual.contains(key) ? actual[key] : Json(), value, tolerance);
  } else {
    compare.exact(where, actual == expected, "expected " + expected.dump() + ", got " + actual.dump());
  }
}

Planner planner_by_class(const Json& plans) {
  const std::string name = plans.at("plans_name");
  for (const std::string& option : planner_names())
    if (plans_name(*planner_of(option)) == name) return *planner_of(option);
  throw UserError("record: no planner makes plans named '" + name + "'");
}

Fingerprint fingerprint_of_record(const Json& input, std::size_t channels) {
  Fingerprint fingerprint;
  fingerprint.spacings_mm = input.at("spacings_zyx").get<std::vector<Spacing3>>();
  fingerprint.cropped_shapes = input.at("shapes_after_crop").get<std::vector<Shape3>>();
  fingerprint.median_relative_size = input.at("median_relative_size_after_cropping");
  fingerprint.channels.resize(channels);
  return fingerprint;
}

/// The record lists the U-Net's sizes beside the other keys, and the memory estimate.
Json with_sizes(Json configuration, std::int64_t label_count) {
  if (!configuration.contains("architecture")) return configuration;
  const Json architecture = configuration.at("architecture");
  for (const auto& [key, value] : architecture.at("arch_kwargs").items()) configuration[key] = value;
  configuration["vram_estimate_feature_map_elements"] =
      feature_map_elements(architecture, configuration.at("patch_size").get<std::vector<std::int64_t>>(), label_count);
  return configuration;
}

void compare_plan(RecordComparison& compare, const std::string& name, const Json& item) {
  const Json &input = item.at("input"), &expected = item.at("expected");
  PlanningFacts facts;
  facts.dataset_name = expected.at("dataset_name");
  facts.channel_names = input.at("channel_names").get<std::vector<std::string>>();
  facts.label_count = std::ssize(input.at("labels"));
  facts.training_cases = input.at("numTraining");
  facts.image_reader = input.value("image_reader_writer", facts.image_reader);
  std::optional<double> memory;
  if (input.contains("gpu_memory_target_in_gb")) memory = input.at("gpu_memory_target_in_gb").get<double>();
  Json plan = plan_experiment(facts, fingerprint_of_record(input, facts.channel_names.size()),
                              planner_by_class(expected), memory)
                  .json();
  for (auto& [key, configuration] : plan.at("configurations").items())
    configuration = with_sizes(configuration, facts.label_count);
  Json names = Json::array(), expected_names = Json::array();
  for (const auto& [key, configuration] : plan.at("configurations").items()) names.push_back(key);
  for (const auto& [key, configuration] : expected.at("configurations").items()) expected_names.push_back(key);
  std::sort(names.begin(), names.end());
  std::sort(expected_names.begin(), expected_names.end());
  compare.exact(name + " configurations", names == expected_names, "got " + names.dump());
  compare_tree(compare, name, plan, expected, kPlanned);
}

/// One dataset of a preprocessing record.
class PreprocessingRecord {
 public:
  PreprocessingRecord(const Json& record, const fs::path& folder)
      : record_(record),
        dataset_(open_dataset(dataset_folder(record, folder).string(), {})),
        plans_(record.at("plans"), record.at("name").get<std::string>() + ", plans") {}

  RecordCheck check() {
    const std::string name = record_.at("name");
    const Fingerprint fingerprint = extract_fingerprint(dataset_);
    compare_tree(compare_, "fingerprint", fingerprint_json(fingerprint), record_.at("fingerprint"), kStatistics);
    const Json plan =
        plan_experiment(planning_facts(dataset_), fingerprint, planner_by_class(record_.at("plans"))).json();
    compare_tree(compare_, "plans", plan, record_.at("plans"), kStatistics);
    for (const auto& [id, expected] : record_.at("cases").items()) check_case(id, expected);
    return compare_.result(name, "preprocessing");
  }

 private:
  static fs::path dataset_folder(const Json& record, const fs::path& folder) {
    return fs::absolute(folder / ".." / "nnUNet_raw" / record.at("dataset").get<std::string>()).lexically_normal();
  }

  void check_case(const std::string& id, const Json& expected) {
    const auto files = std::find_if(dataset_.training.begin(), dataset_.training.end(),
                                    [&](const CaseFiles& one) { return one.id == id; });
    if (files == dataset_.training.end()) return compare_.exact(id, false, "the dataset has no such case");
    const LoadedCase loaded = load_case(dataset_, *files);
    check_reader(id, loaded, expected.at("reader"));
    for (const auto& [name, configuration] : expected.items())
      if (configuration.is_object() && configuration.contains("data"))
        check_configuration(id, loaded, plans_.configuration(name), configuration);
  }

  void check_reader(const std::string& id, const LoadedCase& loaded, const Json& expected) {
    const Geometry& geometry = loaded.channels.front().geometry;
    const AxisMap axes = reader_axes(plans_.image_reader(), geometry, plans_.where());
    const Shape3 shape = permuted(geometry.shape, axes.order);
    const Json array{loaded.channels.size(), shape[0], shape[1], shape[2]};
    compare_.exact(id + " reader shape", array == expected.at("array_shape_c_z_y_x"), "got " + array.dump());
    compare_.exact(id + " reader spacing",
                   permuted(geometry.spacing_mm, axes.order) == expected.at("spacing_zyx").get<Spacing3>());
    for (std::size_t c = 0; c < loaded.channels.size(); ++c) {
      auto voxels = mapped(std::span<const float>(loaded.channels[c].voxels), geometry.shape, axes);
      compare_summary(compare_, id + " reader channel " + std::to_string(c), tensor_of(voxels, shape),
                      expected.at("image_stats").at(c), 1, kPrepared);
    }
  }

  static torch::Tensor tensor_of(std::vector<float>& voxels, const Shape3& shape) {
    return torch::from_blob(voxels.data(), {shape[0], shape[1], shape[2]});
  }

  void check_configuration(const std::string& id, const LoadedCase& loaded, const PlanConfiguration& configuration,
                           const Json& expected) {
    const std::string name = id + " " + configuration.name;
    PreparedCase prepared = prepare_case(dataset_, plans_, configuration, loaded, {LabelRule::argmax});
    const torch::Tensor image = torch::from_blob(
        prepared.image.data(), {prepared.channels, prepared.shape[0], prepared.shape[1], prepared.shape[2]});
    for (std::int64_t c = 0; c < prepared.channels; ++c)
      compare_summary(compare_, name + " data " + std::to_string(c), image[c],
                      expected.at("data").at(static_cast<std::size_t>(c)), 1, kPrepared);
    check_labels(name + " seg", prepared, expected.at("seg"));
    check_crop(name, prepared, expected);
    check_locations(name, prepared, expected.at("class_locations"));
    if (expected.contains("seg_legacy_threshold_0p5"))
      check_labels(name + " legacy seg",
                   prepare_case(dataset_, plans_, configuration, loaded, {LabelRule::legacy_threshold}),
                   expected.at("seg_legacy_threshold_0p5"));
    if (expected.contains("export")) check_export(name, prepared, expected.at("export"));
  }

  void check_labels(const std::string& name, const PreparedCase& prepared, const Json& expected) {
    const torch::Tensor labels = torch::tensor(prepared.labels, torch::kShort);
    compare_label_map(compare_, name, labels.view({1, prepared.shape[0], prepared.shape[1], prepared.shape[2]}),
                      expected);
  }

  void check_crop(const std::string& name, const PreparedCase& prepared, const Json& expected) {
    const PlannedGrid& grid = *prepared.planned;
    Json box = Json::array();
    for (std::size_t axis = 0; axis < 3; ++axis)
      box.push_back({prepared.crop_begin[axis], prepared.crop_begin[axis] + grid.cropped_shape[axis]});
    const auto check = [&](const char* key, const Json& actual) {
      if (expected.contains(key)) compare_.exact(name + " " + key, actual == expected.at(key), "got " + actual.dump());
    };
    check("bbox_used_for_cropping", box);
    check("shape_before_cropping", permuted(prepared.original.shape, grid.axes.order));
    check("shape_after_cropping_and_before_resampling", grid.cropped_shape);
  }

  void check_locations(const std::string& name, const PreparedCase& prepared, const Json& expected) {
    std::size_t listed = 0;
    for (std::size_t i = 0; i < dataset_.classes.size(); ++i, ++listed)
      check_class(name, prepared, prepared.class_locations[i], class_key(dataset_.classes[i].values), expected);
    if (dataset_.ignore_label) {
      std::vector<int> annotated{-1};
      for (const int value : allowed_label_values(dataset_))
        if (value != *dataset_.ignore_label) annotated.push_back(value);
      check_class(name, prepared, prepared.annotated_locations, class_key(annotated), expected);
      ++listed;
    }
    compare_.exact(name + " class_locations", listed == expected.size());
  }

  /// "2", or a region as Python prints a tuple: "(1, 2)".
  static std::string class_key(const std::vector<int>& values) {
    if (values.size() == 1) return std::to_string(values.front());
    std::string key;
    for (const int value : values) key += (key.empty() ? "(" : ", ") + std::to_string(value);
    return key + ")";
  }

  void check_class(const std::string& name, const PreparedCase& prepared, const std::vector<std::int64_t>& locations,
                   const std::string& key, const Json& all) {
    const std::string where = name + " class_locations " + key;
    if (!all.contains(key)) return compare_.exact(where, false, "the record has no such class");
    const Json& expected = all.at(key);
    const std::size_t count = expected.is_object() ? expected.at("n").get<std::size_t>() : expected.size();
    compare_.exact(where + " n", locations.size() == count, "got " + std::to_string(locations.size()));
    if (locations.size() != count || count == 0 || !expected.is_object()) return;
    const auto coordinates = [&](std::int64_t index) {
      const Shape3& shape = prepared.shape;
      return Json{0, index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]};
    };
    const Json& first = expected.at("first4");
    for (std::size_t i = 0; i < first.size(); ++i)
      compare_.exact(where, coordinates(locations[i]) == first[i], "got " + coordinates(locations[i]).dump());
    compare_.exact(where + " last", coordinates(locations.back()) == expected.at("last"));
  }

  void check_export(const std::string& name, const PreparedCase& prepared, const Json& expected) {
    const std::string rule = expected.at("logits_rule");  // float32(3*u("logits_x",i)), row-major over (heads,…)
    std::smatch input;
    std::regex_search(rule, input, std::regex("\"([^\"]+)\""));
    const double factor = number_in(rule, "float32\\(([0-9.]+)\\*u", 1);
    const std::int64_t heads = std::ssize(dataset_.classes) + (dataset_.region_based ? 0 : 1);
    const torch::Tensor logits =
        (factor * named_tensor(input[1].str(), {heads, prepared.shape[0], prepared.shape[1], prepared.shape[2]}))
            .to(torch::kFloat);
    const AxisMap axes = reader_axes(plans_.image_reader(), prepared.original, plans_.where());
    const Shape3& file_shape = prepared.original.shape;
    const Shape3 shape = permuted(file_shape, axes.order);
    const LabelImage labels = labels_from_logits(logits, dataset_, prepared);
    const auto turned = mapped(std::span<const std::int16_t>(labels.voxels), file_shape, axes);
    compare_label_map(compare_, name + " export",
                      torch::tensor(turned, torch::kShort).view({shape[0], shape[1], shape[2]}),
                      expected.at("segmentation_in_reader_axes"));
    const torch::Tensor probabilities = probabilities_from_logits(logits, dataset_, prepared);
    for (std::int64_t k = 0; k < heads; ++k) {
      const torch::Tensor channel = probabilities[k];
      auto voxels =
          mapped(std::span<const float>(channel.const_data_ptr<float>(), static_cast<std::size_t>(channel.numel())),
                 file_shape, axes);
      compare_summary(compare_, name + " probabilities " + std::to_string(k), tensor_of(voxels, shape),
                      expected.at("probabilities").at(static_cast<std::size_t>(k)), 1, kPrepared);
    }
  }

  const Json& record_;
  Dataset dataset_;
  Plans plans_;
  RecordComparison compare_;
};

}  // namespace

RecordCheck verify_planner(const Json& record) {
  RecordComparison compare;
  for (const auto& [name, item] : record.at("cases").items()) compare_plan(compare, name, item);
  return compare.result(record.value("name", "planner"), "planner");
}

RecordCheck verify_preprocessing(const Json& record, const fs::path& folder) {
  return PreprocessingRecord(record, folder).check();
}

}  // namespace m3d
