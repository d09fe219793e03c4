// Records of kinds "splits" and "sliding_window".
#include <cmath>

#include "common/error.h"
#include "datasets/catalogue/splits.h"
#include "suite/infer/sliding_window.h"
#include "suite/verify/fill_record.h"
#include "suite/verify/record_values.h"

namespace m3d {
namespace {

constexpr double kDouble = 1e-9;
constexpr double kSingle = 1e-4;

Shape3 shape_of(const Json& json) { return json.get<Shape3>(); }

std::string text_of(const Shape3& shape) { return Json(shape).dump(); }

void compare_weights(RecordComparison& compare, const std::string& name, const Json& expected) {
  const std::vector<std::int64_t> sizes = expected.at("float64_scaled_to_max_1").at("shape");
  const Shape3 patch{sizes.at(0), sizes.at(1), sizes.at(2)};
  const torch::Tensor weights = gaussian_weights(patch);
  const auto centre = shape_of(expected.at("centre"));
  compare.exact(name + " centre",
                weights[centre[0]][centre[1]][centre[2]].item<double>() == weights.max().item<double>());
  compare_summary(compare, name, weights / 10, expected.at("float64_scaled_to_max_1"), 1, kDouble);
  compare_summary(compare, name + " float32", weights.to(torch::kFloat), expected.at("float32_scaled_10_zero_replaced"),
                  10, 1e-6);
}

void compare_tiles(RecordComparison& compare, const Json& item) {
  const Shape3 image = shape_of(item.at("image")), patch = shape_of(item.at("patch"));
  const std::string name =
      "tiles of " + text_of(image) + " patch " + text_of(patch) + " step " + item.at("step").dump();
  const double overlap = 1 - item.at("step").get<double>();
  const Padding padding = padding_to_patch(image, patch);
  compare.exact(name + " padding",
                padding.below == shape_of(item.at("pad_below")) && padding.above == shape_of(item.at("pad_above")));
  Shape3 padded = image;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    padded[axis] += padding.below[axis] + padding.above[axis];
    const auto starts = tile_starts(padded[axis], patch[axis], overlap);
    compare.exact(name + " starts", starts == item.at("starts").at(axis).get<std::vector<std::int64_t>>(),
                  "got " + Json(starts).dump());
  }
  compare.exact(name + " padded", padded == shape_of(item.at("padded")), "got " + text_of(padded));
  SlidingWindowOptions options;
  options.patch = patch;
  options.overlap = overlap;
  const std::int64_t tiles = tile_count(padded, options);
  compare.exact(name + " count", tiles == item.at("n_tiles").get<std::int64_t>(), "got " + std::to_string(tiles));
}

torch::Tensor filled(const std::string& name, const std::vector<std::int64_t>& shape) {
  return torch::tensor(filled_values(name, shape), torch::kDouble).reshape(shape);
}

/// The record's network in words, "conv3d 3x3x3 pad 1 (2->4), tanh, conv3d 3x3x3 pad 1 (4->3)".
struct RecordNetwork {
  explicit RecordNetwork(const std::string& words) {
    const std::regex pattern("\\(([0-9]+)->([0-9]+)\\)");
    std::vector<std::pair<std::int64_t, std::int64_t>> channels;
    for (std::sregex_iterator match(words.begin(), words.end(), pattern), end; match != end; ++match)
      channels.emplace_back(std::stoll((*match)[1]), std::stoll((*match)[2]));
    if (channels.size() != 2) throw UserError("sliding_window record: cannot read the network '" + words + "'");
    w1 = filled("w1", {channels[0].second, channels[0].first, 3, 3, 3});
    b1 = filled("b1", {channels[0].second});
    w2 = filled("w2", {channels[1].second, channels[1].first, 3, 3, 3});
    b2 = filled("b2", {channels[1].second});
  }
  torch::Tensor operator()(const torch::Tensor& image) const {
    const auto type = image.scalar_type();
    const torch::Tensor hidden = torch::conv3d(image, w1.to(type), b1.to(type), 1, 1).tanh();
    return torch::conv3d(hidden, w2.to(type), b2.to(type), 1, 1);
  }
  std::int64_t classes() const { return b2.size(0); }

  torch::Tensor w1, b1, w2, b2;
};

/// u("name",i) shape [2, 21, 30, 27]
torch::Tensor record_input(const std::string& rule) {
  std::smatch name, shape;
  if (!std::regex_search(rule, name, std::regex("\"([^\"]+)\"")) ||
      !std::regex_search(rule, shape, std::regex("shape (\\[[^\\]]*\\])")))
    throw UserError("sliding_window record: cannot read the input rule '" + rule + "'");
  return named_tensor(name[1], Json::parse(shape[1].str()).get<std::vector<std::int64_t>>());
}

void compare_fusion(RecordComparison& compare, const std::string& name, const Json& item) {
  const RecordNetwork network(item.at("network"));
  const torch::Tensor image = record_input(item.at("input_rule"));
  SlidingWindowOptions options;
  options.patch = shape_of(item.at("patch"));
  options.overlap = 1 - item.at("step").get<double>();
  if (item.at("mirror_axes").is_array()) options.mirror_axes = item.at("mirror_axes").get<std::vector<int>>();
  const Json& expected = item.at("float64_reference");
  const torch::Tensor exact = predict_logits(network, image, network.classes(), options);
  compare_summary(compare, name, exact, expected, 1, kDouble);
  compare_label_map(compare, name + " argmax", exact.argmax(0), item.at("argmax"));
  const torch::Tensor single = predict_logits(network, image.to(torch::kFloat), network.classes(), options);
  const double difference = (single.to(torch::kDouble) - exact).abs().max().item<double>();
  compare.exact(name + " in float32", difference <= kSingle, "differs by " + Json(difference).dump());
}

}  // namespace

RecordCheck verify_splits(const Json& record) {
  RecordComparison compare;
  for (const auto& [name, expected] : record.at("val_indices").items()) {
    const auto folds = kfold_validation(std::stoll(name));
    if (expected.at(0).is_array()) {
      compare.exact("splits of " + name, (folds == expected.get<std::vector<std::vector<std::int64_t>>>()));
      continue;
    }
    std::vector<std::int64_t> first = folds.at(static_cast<std::size_t>(number_in(name, "fold([0-9]+)", 0)));
    first.resize(std::min(first.size(), expected.size()));
    compare.exact("splits of " + name, first == expected.get<std::vector<std::int64_t>>());
  }
  return compare.result(record.value("name", "splits"), "splits");
}

RecordCheck verify_sliding_window(const Json& record) {
  RecordComparison compare;
  for (const auto& [name, expected] : record.at("gaussian").items())
    compare_weights(compare, "weights " + name, expected);
  for (const Json& item : record.at("tiles")) compare_tiles(compare, item);
  std::size_t index = 0;
  for (const Json& item : record.at("fusion")) compare_fusion(compare, "fusion " + std::to_string(index++), item);
  return compare.result(record.value("name", "sliding_window"), "sliding_window");
}

}  // namespace m3d
