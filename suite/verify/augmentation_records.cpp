// Records of kind "augmentation": nnU-Net's training augmentation with given values, float32.
#include <cmath>

#include "common/error.h"
#include "datasets/numerics/cubic_transform.h"
#include "datasets/sampling/augmentation.h"
#include "datasets/sampling/augmentation_operations.h"
#include "suite/verify/record_values.h"

namespace m3d {
namespace {

constexpr double kTolerance = 1e-5;  // absolute: values are of the size of 1

std::string captured(const std::string& text, const std::string& pattern) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(pattern)))
    throw UserError("augmentation record: cannot read the rule '" + text + "'");
  return match[1];
}

/// float32(1.5*u("aug_input",i)+0.2) shape [2, 10, 12, 14]
torch::Tensor record_image(const std::string& rule) {
  const auto shape = Json::parse(captured(rule, "shape (\\[[^\\]]*\\])")).get<std::vector<std::int64_t>>();
  const double factor = number_in(rule, "([-+0-9.e]+) *\\*? *u\\(", 1);
  const double offset = number_in(rule, ",i\\) *([-+] *[0-9.e]+)", 0);
  return (named_tensor(captured(rule, "u\\(\"([^\"]+)\""), shape) * factor + offset).to(torch::kFloat);
}

/// fillint("aug_seg",4)-1
torch::Tensor record_labels(const std::string& rule, at::IntArrayRef shape) {
  const auto classes = static_cast<std::int64_t>(number_in(rule, "fillint\\(\"[^\"]+\",([0-9]+)\\)", 0));
  const auto offset = static_cast<std::int64_t>(number_in(rule, "\\)([-+][0-9]+)", 0));
  return (named_classes(captured(rule, "fillint\\(\"([^\"]+)\""), shape, classes) + offset).to(torch::kShort);
}

Shape3 shape_of(const torch::Tensor& tensor) { return {tensor.size(-3), tensor.size(-2), tensor.size(-1)}; }

template <class T>
std::span<T> values_of(const torch::Tensor& tensor) {
  return {tensor.mutable_data_ptr<T>(), static_cast<std::size_t>(tensor.numel())};
}

/// With the margin that samplers expect around the loader's patch.
torch::Tensor padded(const torch::Tensor& input, double margin) {
  constexpr auto before = PaddedBox::kBefore, after = PaddedBox::kAfter;
  return torch::constant_pad_nd(input, {before, after, before, after, before, after}, margin).contiguous();
}

SpatialGrid grid_of(const Json& params, const torch::Tensor& input) {
  const auto matrix = spatial_matrix(params.at("angles_rad").get<std::array<double, 3>>(),
                                     params.at("scales").get<std::array<double, 3>>());
  return {matrix, params.at("patch_size").get<Shape3>(), shape_of(input)};
}

void compare_spatial(RecordComparison& compare, const std::string& name, const Json& item, const torch::Tensor& input) {
  const SpatialGrid grid = grid_of(item.at("params"), input);
  if (item.at("params").contains("affine"))
    for (std::size_t i = 0; i < 9; ++i)
      compare.number(name + " matrix", grid.matrix[i], item["params"]["affine"].at(i / 3).at(i % 3).get<double>(), 1,
                     1e-12);
  const auto [depth, height, width] = grid.patch;
  const std::string rule = item.value("seg_input", "fillint(\"aug_seg\",4)-1");
  const torch::Tensor image = padded(input, 0), labels = padded(record_labels(rule, input[0].sizes()), -1);
  const torch::Tensor image_target = torch::empty({input.size(0), depth, height, width});
  const torch::Tensor labels_target = torch::empty({depth, height, width}, torch::kShort);
  sample_patch(grid, {{0, 0, 0}, shape_of(input)}, values_of<float>(image), values_of<std::int16_t>(labels),
               values_of<float>(image_target), values_of<std::int16_t>(labels_target));
  for (std::size_t c = 0; c < item.at("out").size(); ++c)
    compare_summary(compare, name, image_target[static_cast<std::int64_t>(c)], item.at("out").at(c), 1, kTolerance);
  if (item.contains("seg_out")) compare_label_map(compare, name + " labels", labels_target, item.at("seg_out"));
}

/// As compare_spatial, with batchgenerators' signs of the angles and its order: scaled after turning.
SpatialGrid earlier_grid_of(const Json& params, const torch::Tensor& input) {
  const double scale = params.at("scale");
  Matrix3 matrix{};
  if (params.contains("planar_angle_rad")) {
    matrix = planar_matrix(-params["planar_angle_rad"].get<double>(), scale);
  } else {
    const auto angles = params.at("angles_rad").get<std::array<double, 3>>();
    matrix = spatial_matrix({-angles[0], -angles[1], -angles[2]}, {scale, scale, scale});
  }
  return {matrix, params.at("patch_size").get<Shape3>(), shape_of(input)};
}

void compare_spatial_by_spline(RecordComparison& compare, const Json& item, const torch::Tensor& input) {
  const SpatialGrid grid = earlier_grid_of(item.at("params"), input);
  const std::string name = "spatial_by_spline " + item["params"].dump();
  const auto [depth, height, width] = grid.patch;
  const torch::Tensor labels = record_labels(item.at("seg_input"), input[0].sizes());
  // The part that a loader reads, and the whole of the loader's patch.
  for (const SourceBox& box : {cubic_source_box(grid), SourceBox{{0, 0, 0}, shape_of(input)}}) {
    const auto cut = [&](torch::Tensor tensor) {
      for (std::int64_t axis = 0; axis < 3; ++axis) {
        const auto i = static_cast<std::size_t>(axis);
        tensor = tensor.narrow(tensor.dim() - 3 + axis, box.begin[i], box.end[i] - box.begin[i]);
      }
      return tensor.contiguous();
    };
    const torch::Tensor given = cut(input), given_labels = cut(labels);
    const torch::Tensor image_target = torch::empty({input.size(0), depth, height, width});
    const torch::Tensor labels_target = torch::empty({depth, height, width}, torch::kShort);
    sample_patch_cubic(grid, box, values_of<float>(given), values_of<std::int16_t>(given_labels),
                       values_of<float>(image_target), values_of<std::int16_t>(labels_target));
    for (std::size_t c = 0; c < item.at("out").size(); ++c)
      compare_summary(compare, name, image_target[static_cast<std::int64_t>(c)], item.at("out").at(c), 1, kTolerance);
    compare_label_map(compare, name + " labels", labels_target, item.at("seg_out"));
  }
}

void compare_shape(RecordComparison& compare, const std::string& name, const Json& params, const Shape3& shape,
                   double scale, bool keep_first_axis) {
  if (params.contains("new_shape"))
    compare.exact(name + " new_shape",
                  (lowered_shape(shape, scale, keep_first_axis) == params["new_shape"].get<Shape3>()));
}

void compare_taps(RecordComparison& compare, const std::string& name, const Json& params,
                  const std::array<double, 3>& sigma, double truncate) {
  if (!params.contains("kernel_sizes")) return;
  for (std::size_t axis = 0; axis < 3; ++axis)
    compare.exact(name + " kernel_sizes",
                  blur_taps(sigma[axis], truncate) == params["kernel_sizes"].at(axis).get<std::int64_t>());
}

bool keeps_first_axis(const Json& params) {
  const Json axes = params.value("ignore_axes", Json());
  if (axes.is_null() || axes.empty()) return false;
  if (axes != Json::array({0})) throw UserError("augmentation record: ignore_axes " + axes.dump() + " is not known");
  return true;
}

/// Applies an intensity operation to one channel; false where there is no such operation.
bool apply(RecordComparison& compare, const std::string& operation, const Json& params, const Shape3& shape,
           std::span<float> channel) {
  if (operation == "gamma") {
    change_gamma(channel, {.gamma = params.at("gamma").get<float>(),
                           .invert = params.value("invert", false),
                           .retain_stats = params.value("retain_stats", true)});
  } else if (operation == "contrast_preserve_range") {
    change_contrast(channel, params.at("factor").get<float>());
  } else if (operation == "brightness_multiplicative") {
    multiply_brightness(channel, params.at("factor").get<float>());
  } else if (operation == "simulate_low_resolution") {
    const auto scale = static_cast<double>(params.at("scale").get<float>());  // a float32 tensor in the original
    compare_shape(compare, operation, params, shape, scale, keeps_first_axis(params));
    lower_resolution(channel, shape, scale, keeps_first_axis(params));
  } else if (operation == "low_resolution_by_spline") {
    const double scale = params.at("scale");
    compare_shape(compare, operation, params, shape, scale, keeps_first_axis(params));
    lower_resolution_by_spline(channel, shape, scale, keeps_first_axis(params));
  } else if (operation == "gaussian_blur_by_scipy") {
    blur_by_scipy(channel, shape, params.at("sigma").get<double>());
  } else if (operation == "gaussian_blur") {
    const auto sigma = params.at("sigma_per_axis").get<std::array<double, 3>>();
    const double truncate = params.value("truncate", 6.0);
    compare_taps(compare, operation, params, sigma, truncate);
    blur(channel, shape, sigma, truncate);
  } else {
    return false;
  }
  return true;
}

void compare_intensities(RecordComparison& compare, const std::string& operation, const Json& item,
                         const torch::Tensor& input) {
  for (std::size_t c = 0; c < item.at("out").size(); ++c) {
    const torch::Tensor channel = input[static_cast<std::int64_t>(c)].clone();
    if (!apply(compare, operation, item.at("params"), shape_of(channel), values_of<float>(channel)))
      return compare.exact(operation, false, "this build has no such operation");
    compare_summary(compare, operation + " " + item["params"].dump(), channel, item.at("out").at(c), 1, kTolerance);
  }
}

void compare_initial_size(RecordComparison& compare, const Json& item) {
  const auto patch = item.at("patch").get<Shape3>();
  compare.exact("initial patch of " + Json(patch).dump(),
                augments_slices(patch) == item.at("dummy_2d").get<bool>() &&
                    initial_patch_size(patch) == item.at("initial").get<Shape3>(),
                "got " + Json(initial_patch_size(patch)).dump());
}

}  // namespace

RecordCheck verify_augmentation(const Json& record) {
  RecordComparison compare;
  const torch::Tensor input = record_image(record.at("input"));
  for (const Json& item : record.at("cases")) {
    const std::string operation = item.at("op");
    if (operation == "spatial") {
      compare_spatial(compare, operation + " " + item.at("params").at("angles_rad").dump(), item, input);
    } else if (operation == "spatial_by_spline") {
      compare_spatial_by_spline(compare, item, input);
    } else {
      compare_intensities(compare, operation, item, input);
    }
  }
  for (const Json& item : record.value("initial_patch_size", Json::array())) compare_initial_size(compare, item);
  return compare.result(record.value("name", "augmentation"), "augmentation");
}

}  // namespace m3d
