#include "datasets/storage/case_properties.h"

#include <algorithm>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/pickle.h"
#include "datasets/storage/numpy_pickle.h"

namespace m3d {
namespace {

using Kind = PickleValue::Kind;

const PickleValue& required(const PickleValue& dictionary, const char* key) {
  const auto value = entry_of(dictionary, key);
  if (!value) throw std::runtime_error(std::string("it has no '") + key + "'");
  return *value;
}

template <class T, std::size_t n>
void copy_numbers(const PickleValue& value, std::array<T, n>& target) {
  const auto numbers = numbers_of(value).values;
  if (numbers.size() != n)
    throw std::runtime_error("it has " + std::to_string(numbers.size()) + " numbers where " + std::to_string(n) +
                             " belong");
  std::transform(numbers.begin(), numbers.end(), target.begin(), [](double number) { return static_cast<T>(number); });
}

/// [N, 4] rows (channel, z, y, x).
std::vector<std::int64_t> linear_indices(const PickleValue& value, const Shape3& shape) {
  const auto rows = integers_of(value);
  if (rows.values.empty()) return {};
  if (rows.shape.size() != 2 || rows.shape[1] != 4) throw std::runtime_error("its class_locations are not [N, 4]");
  std::vector<std::int64_t> indices;
  indices.reserve(static_cast<std::size_t>(rows.shape[0]));
  for (std::size_t row = 0; row < rows.values.size(); row += 4) {
    for (std::size_t axis = 0; axis < 3; ++axis)
      if (rows.values[row + axis + 1] < 0 || rows.values[row + axis + 1] >= shape[axis])
        throw std::runtime_error("its class_locations lie outside the case");
    indices.push_back((rows.values[row + 1] * shape[1] + rows.values[row + 2]) * shape[2] + rows.values[row + 3]);
  }
  return indices;
}

std::vector<int> label_values(const PickleValue& key) {
  std::vector<int> values;
  if (key.kind != Kind::sequence) return {static_cast<int>(integer_of(key))};
  for (const auto& one : key.items) values.push_back(static_cast<int>(integer_of(*one)));
  return values;
}

void read_locations(const PickleValue& dictionary, const Shape3& shape, CaseProperties& properties) {
  for (const auto& [key, value] : dictionary.entries) {
    std::vector<int> values = label_values(*key);
    if (!values.empty() && values.front() == -1) {
      properties.annotated = std::move(values);
      properties.annotated_locations = linear_indices(*value, shape);
    } else {
      properties.classes.push_back(std::move(values));
      properties.class_locations.push_back(linear_indices(*value, shape));
    }
  }
}

void read_geometry_of(const PickleValue& root, Geometry& geometry) {
  copy_numbers(required(root, "spacing"), geometry.spacing_mm);
  const auto itk = entry_of(root, "sitk_stuff");
  if (!itk) return;
  if (numbers_of(required(*itk, "origin")).values.size() != 3) return;  // a 2D image's
  copy_numbers(required(*itk, "origin"), geometry.origin_mm);
  copy_numbers(required(*itk, "direction"), geometry.direction);
}

CaseProperties properties_in(const PickleValue& root, const Shape3& shape) {
  CaseProperties properties;
  read_geometry_of(root, properties.original);
  if (const auto nibabel = entry_of(root, "nibabel_stuff"); nibabel && entry_of(*nibabel, "reoriented_affine")) {
    properties.affines.emplace();
    copy_numbers(required(*nibabel, "original_affine"), properties.affines->original);
    copy_numbers(required(*nibabel, "reoriented_affine"), properties.affines->reoriented);
  }
  copy_numbers(required(root, "shape_before_cropping"), properties.shape_before_cropping);
  const PickleValue& box = required(root, "bbox_used_for_cropping");
  if (box.items.size() != 3) throw std::runtime_error("its bbox_used_for_cropping has no three axes");
  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::array<std::int64_t, 2> bounds{};
    copy_numbers(*box.items[axis], bounds);
    properties.crop_begin[axis] = bounds[0], properties.crop_end[axis] = bounds[1];
  }
  if (const auto locations = entry_of(root, "class_locations")) read_locations(*locations, shape, properties);
  return properties;
}

template <class Range>
void put_integers(PickleWriter& pickle, const Range& numbers) {
  for (const auto number : numbers) pickle.integer(number);
}
template <class Range>
void put_numbers(PickleWriter& pickle, const Range& numbers) {
  for (const double number : numbers) pickle.number(number);
}

void put_shape(PickleWriter& pickle, const char* key, const Shape3& shape) {
  pickle.text(key);
  pickle.begin(), put_integers(pickle, shape), pickle.end_tuple();
}

void put_locations(PickleWriter& pickle, const std::vector<std::int64_t>& indices, const Shape3& shape) {
  if (indices.empty()) {
    pickle.begin(), pickle.end_list();
    return;
  }
  std::vector<std::int64_t> rows;
  rows.reserve(indices.size() * 4);
  for (const std::int64_t index : indices) {
    rows.push_back(0);
    rows.push_back(index / shape[2] / shape[1]);
    rows.push_back(index / shape[2] % shape[1]);
    rows.push_back(index % shape[2]);
  }
  put_array(pickle, rows, std::array<std::int64_t, 2>{std::ssize(indices), 4});
}

void put_key(PickleWriter& pickle, const std::vector<int>& values) {
  if (values.size() == 1) return pickle.integer(values.front());
  pickle.begin(), put_integers(pickle, values), pickle.end_tuple();
}

void put_geometry(PickleWriter& pickle, const CaseProperties& properties) {
  const Geometry& original = properties.original;
  if (properties.affines) {
    constexpr std::array<std::int64_t, 2> kShape = {4, 4};
    pickle.text("nibabel_stuff");
    pickle.begin();
    pickle.text("original_affine"), put_array(pickle, properties.affines->original, kShape);
    pickle.text("reoriented_affine"), put_array(pickle, properties.affines->reoriented, kShape);
    pickle.end_dictionary();
  } else {
    const auto& [z, y, x] = original.spacing_mm;
    pickle.text("sitk_stuff");
    pickle.begin();
    pickle.text("spacing"), pickle.begin(), put_numbers(pickle, std::array{x, y, z}), pickle.end_tuple();
    pickle.text("origin"), pickle.begin(), put_numbers(pickle, original.origin_mm), pickle.end_tuple();
    pickle.text("direction"), pickle.begin(), put_numbers(pickle, original.direction), pickle.end_tuple();
    pickle.end_dictionary();
  }
  pickle.text("spacing");
  pickle.begin(), put_numbers(pickle, original.spacing_mm), pickle.end_list();
}

void put_crop(PickleWriter& pickle, const CaseProperties& properties) {
  put_shape(pickle, "shape_before_cropping", properties.shape_before_cropping);
  pickle.text("bbox_used_for_cropping");
  Shape3 size{};
  pickle.begin();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::array bounds{properties.crop_begin[axis], properties.crop_end[axis]};
    size[axis] = bounds[1] - bounds[0];
    pickle.begin(), put_integers(pickle, bounds), pickle.end_list();
  }
  pickle.end_list();
  put_shape(pickle, "shape_after_cropping_and_before_resampling", size);
}

}  // namespace

NibabelAffines nibabel_affines(const Geometry& file, const AxisMap& reader) {
  constexpr std::array<double, 3> kLpsToRas{-1, -1, 1};
  NibabelAffines affines;
  affines.original.back() = affines.reoriented.back() = 1;
  for (std::size_t world = 0; world < 3; ++world) {
    // Columns go by x, y, z; sizes, spacings and the map's axes by z, y, x.
    const auto column = [&](std::size_t axis) {
      return kLpsToRas[world] * file.direction[3 * world + axis] * file.spacing_mm[2 - axis];
    };
    double* const original = &affines.original[4 * world];
    double* const reoriented = &affines.reoriented[4 * world];
    original[3] = reoriented[3] = kLpsToRas[world] * file.origin_mm[world];
    for (std::size_t axis = 0; axis < 3; ++axis) {
      original[axis] = column(axis);
      const auto source = static_cast<std::size_t>(2 - reader.order[2 - axis]);
      const bool flipped = reader.flip[2 - axis];
      reoriented[axis] = flipped ? -column(source) : column(source);
      if (flipped) reoriented[3] += column(source) * static_cast<double>(file.shape[2 - source] - 1);
    }
  }
  return affines;
}

CaseProperties read_case_properties(const std::filesystem::path& file, const Shape3& shape) {
  try {
    const std::string bytes = read_file(file);
    std::size_t position = 0;
    return properties_in(*read_pickle(bytes, position), shape);
  } catch (const std::exception& error) {
    throw RunError(file.string() + ": cannot be read as a preprocessed case's properties: " + error.what());
  }
}

void write_case_properties(const std::filesystem::path& file, const CaseProperties& properties, const Shape3& shape) {
  PickleWriter pickle;
  pickle.begin();
  put_geometry(pickle, properties);
  put_crop(pickle, properties);
  pickle.text("class_locations");
  pickle.begin();
  for (std::size_t i = 0; i < properties.classes.size(); ++i) {
    put_key(pickle, properties.classes[i]);
    put_locations(pickle, properties.class_locations[i], shape);
  }
  if (!properties.annotated.empty()) {
    put_key(pickle, properties.annotated);
    put_locations(pickle, properties.annotated_locations, shape);
  }
  pickle.end_dictionary();
  pickle.end_dictionary();
  write_atomically(file, pickle.finished());
}

}  // namespace m3d
