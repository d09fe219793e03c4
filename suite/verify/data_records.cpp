// Records of kinds "rng", "topology" and "resampling".
#include <cmath>

#include "datasets/numerics/numpy_random.h"
#include "datasets/planning/topology.h"
#include "datasets/preprocessing/resampling.h"
#include "suite/verify/record_values.h"

namespace m3d {
namespace {

constexpr double kResampled = 1e-5;  // absolute, as the record's tolerance table says

using Integers = std::vector<std::int64_t>;

void compare_draws(RecordComparison& compare, const Json& item) {
  const auto seed = item.at("seed").get<std::uint32_t>();
  const auto n = item.at("n").get<std::int64_t>();
  const std::string name = "seed " + std::to_string(seed) + ", n " + std::to_string(n);
  for (const auto& [key, expected] : item.items()) {
    if (key == "seed" || key == "n") continue;
    const auto wanted = expected.get<Integers>();
    const auto count = static_cast<std::int64_t>(wanted.size());
    NumpyRandom random(seed);
    Integers drawn;
    if (key.starts_with("choice_with_replacement")) {
      drawn = random.choice_with_replacement(n, count);
    } else if (key.starts_with("shuffled") || key == "choice_without_replacement") {
      drawn = random.choice_without_replacement(n, count);  // the first of a shuffled arange
    } else {
      compare.exact(name, false, "unknown entry '" + key + "'");
      continue;
    }
    compare.exact(name + " " + key, drawn == wanted, "got " + Json(drawn).dump());
  }
}

void compare_topology(RecordComparison& compare, const Json& item) {
  const auto spacing = item.at("spacing").get<std::vector<double>>();
  const auto patch = item.at("patch_in").get<std::vector<double>>();
  const NetworkTopology topology = network_topology(spacing, patch, item.value("min_edge", std::int64_t{4}));
  const std::string name = "patch " + item.at("patch_in").dump() + " at " + item.at("spacing").dump() + " mm";
  const auto check = [&](const char* key, const auto& actual) {
    compare.exact(name + " " + key, Json(actual) == item.at(key), "got " + Json(actual).dump());
  };
  check("num_pool", topology.pools);
  check("strides", topology.strides);
  check("kernels", topology.kernels);
  check("patch_out", topology.patch);
  check("divisible_by", topology.divisors);
}

torch::Tensor grid_tensor(std::vector<float>& voxels, const Shape3& shape) {
  return torch::from_blob(voxels.data(), {shape[0], shape[1], shape[2]});
}

struct ResamplingCase {
  explicit ResamplingCase(const Json& item)
      : size(item.at("shape").get<std::vector<std::int64_t>>()),
        shape{size.at(1), size.at(2), size.at(3)},
        new_shape(item.at("new_shape").get<Shape3>()),
        current(item.at("current_spacing").get<Spacing3>()),
        target(item.at("new_spacing").get<Spacing3>()) {}

  Resampling with_order(int order) const { return {shape, new_shape, current, target, {order, 0, {}}}; }

  std::vector<std::int64_t> size;
  Shape3 shape, new_shape;
  Spacing3 current, target;
};

void compare_images(RecordComparison& compare, const std::string& name, const ResamplingCase& one,
                    const torch::Tensor& input, int order, const Json& expected) {
  const Resampling resampling = one.with_order(order);
  const torch::Tensor channels = input.to(torch::kFloat).contiguous();
  const std::int64_t voxels = voxel_count(one.shape);
  for (std::int64_t c = 0; c < one.size[0]; ++c) {
    auto result = resampling.image({channels.const_data_ptr<float>() + c * voxels, static_cast<std::size_t>(voxels)});
    compare_summary(compare, name + " order " + std::to_string(order) + " channel " + std::to_string(c),
                    grid_tensor(result, one.new_shape), expected.at(static_cast<std::size_t>(c)), 1, kResampled);
  }
}

void compare_labels(RecordComparison& compare, const std::string& name, const ResamplingCase& one, const Json& item) {
  const std::string rule = item.at("seg_input");  // min(floor((u("resample_0_seg",i)+1)/2*3),2)
  std::smatch input;
  std::regex_search(rule, input, std::regex("\"([^\"]+)\""));
  const auto classes = static_cast<std::int64_t>(number_in(rule, "/2\\*([0-9]+)", 0));
  const torch::Tensor seg = named_classes(input[1], one.shape, classes).to(torch::kShort).contiguous();
  const std::span<const std::int16_t> voxels(seg.const_data_ptr<std::int16_t>(), static_cast<std::size_t>(seg.numel()));
  const Resampling resampling = one.with_order(1);
  const auto check = [&](const char* key, LabelRule label_rule) {
    if (!item.contains(key)) return;
    auto labels = resampling.labels(voxels, label_rule);
    compare_label_map(
        compare, name + " " + key,
        torch::from_blob(labels.data(), {one.new_shape[0], one.new_shape[1], one.new_shape[2]}, torch::kShort),
        item.at(key));
  };
  check("seg_order1", LabelRule::argmax);
  check("seg_order1_legacy_threshold_0p5", LabelRule::legacy_threshold);
}

void compare_resampling(RecordComparison& compare, const Json& item) {
  const ResamplingCase one(item);
  const std::string words = item.at("input");  // u("resample_0",i)
  std::smatch input;
  std::regex_search(words, input, std::regex("\"([^\"]+)\""));
  const std::string name = input[1];
  const auto axis = separate_axis(one.current, one.target, {});
  compare.exact(name + " separate axis", Json(axis ? Json(*axis) : Json()) == item.at("axis"));
  const torch::Tensor values = named_tensor(name, one.size);
  for (const int order : {0, 1, 3}) {
    const std::string key = "image_order" + std::to_string(order);
    if (item.contains(key)) compare_images(compare, name, one, values, order, item.at(key));
  }
  if (item.contains("seg_input")) compare_labels(compare, name, one, item);
}

}  // namespace

RecordCheck verify_rng(const Json& record) {
  RecordComparison compare;
  for (const Json& item : record.at("cases")) compare_draws(compare, item);
  for (const auto& [key, expected] : record.items()) {
    if (!key.starts_with("first_")) continue;
    NumpyRandom random(static_cast<std::uint32_t>(number_in(key, "seed_([0-9]+)", 0)));
    for (const Json& value : expected) compare.exact(key, random.next() == value.get<std::uint32_t>());
  }
  return compare.result(record.value("name", "rng"), "rng");
}

RecordCheck verify_topology(const Json& record) {
  RecordComparison compare;
  for (const Json& item : record.at("cases")) compare_topology(compare, item);
  return compare.result(record.value("name", "topology"), "topology");
}

RecordCheck verify_resampling(const Json& record) {
  RecordComparison compare;
  for (const Json& item : record.at("cases")) compare_resampling(compare, item);
  return compare.result(record.value("name", "resampling"), "resampling");
}

}  // namespace m3d
