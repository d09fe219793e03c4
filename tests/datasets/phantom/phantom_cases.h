#pragma once
// All cases of a phantom, made once a test program, and small measurements on label maps.
#include <array>
#include <functional>
#include <map>
#include <vector>

#include "datasets/phantom/phantom.h"

namespace m3d {

using Voxel = std::array<std::int64_t, 3>;

inline const std::vector<PhantomCase>& all_cases(const std::string& name) {
  static std::map<std::string, std::vector<PhantomCase>> made;
  auto& cases = made[name];
  for (int i = static_cast<int>(cases.size()); i < phantom_case_count(); ++i)
    cases.push_back(make_phantom_case(name, i));
  return cases;
}

inline int label_of(const std::string& name, const std::string& class_name) {
  const Json value = phantom_dataset_json(name)["labels"][class_name];
  return value.is_array() ? value.back().get<int>() : value.get<int>();
}

inline void for_each_voxel(const Shape3& shape, const std::function<void(const Voxel&)>& visit) {
  for (std::int64_t d = 0; d < shape[0]; ++d) {
    for (std::int64_t h = 0; h < shape[1]; ++h) {
      for (std::int64_t w = 0; w < shape[2]; ++w) visit({d, h, w});
    }
  }
}

/// Connected voxels (6 neighbours) of one label.
inline std::vector<std::vector<Voxel>> components(const LabelImage& labels, int label) {
  LabelImage left = labels;
  std::vector<std::vector<Voxel>> found;
  for_each_voxel(labels.shape(), [&](const Voxel& start) {
    if (left.at(start[0], start[1], start[2]) != label) return;
    std::vector<Voxel> component = {start};
    left.at(start[0], start[1], start[2]) = 0;
    for (std::size_t i = 0; i < component.size(); ++i) {
      for (int side = 0; side < 6; ++side) {
        Voxel next = component[i];
        const auto axis = static_cast<std::size_t>(side / 2);
        next[axis] += side % 2 ? 1 : -1;
        if (next[axis] < 0 || next[axis] >= labels.shape()[axis]) continue;
        auto& value = left.at(next[0], next[1], next[2]);
        if (value != label) continue;
        value = 0;
        component.push_back(next);
      }
    }
    found.push_back(component);
  });
  return found;
}

/// Mean of a channel over the voxels for which `chosen` holds.
inline double mean_where(const ImageF& image, const std::function<bool(const Voxel&)>& chosen) {
  double sum = 0;
  std::int64_t count = 0;
  for_each_voxel(image.shape(), [&](const Voxel& v) {
    if (!chosen(v)) return;
    sum += image.at(v[0], v[1], v[2]);
    ++count;
  });
  return sum / static_cast<double>(count);
}

}  // namespace m3d
