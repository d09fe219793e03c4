#include "suite/train/targets.h"

#include <algorithm>

namespace m3d {
namespace {

/// table[value] says whether (or as which index) a label value counts; values beyond it count as background.
void enter(const std::vector<int>& values, std::int64_t entry, std::vector<std::int64_t>& table) {
  for (const int value : values) {
    table.resize(std::max(table.size(), static_cast<std::size_t>(value) + 1), 0);
    table[static_cast<std::size_t>(value)] = entry;
  }
}

std::vector<std::int64_t> table_of(const std::vector<int>& values, std::int64_t entry) {
  std::vector<std::int64_t> table(1, 0);
  enter(values, entry, table);
  return table;
}

template <class T>
void look_up(const std::vector<std::int16_t>& labels, std::size_t begin, std::size_t count,
             const std::vector<std::int64_t>& table, T* output) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::int16_t value = labels[begin + i];
    const bool known = value >= 0 && static_cast<std::size_t>(value) < table.size();
    output[i] = known ? static_cast<T>(table[static_cast<std::size_t>(value)]) : T{0};
  }
}

torch::Tensor region_targets(const Batch& batch, const TargetSpec& spec) {
  const auto [depth, height, width] = batch.patch;
  std::vector<std::vector<int>> channels;
  for (const LabelClass& region : spec.classes) channels.push_back(region.values);
  if (spec.ignore_label) channels.push_back({*spec.ignore_label});
  torch::Tensor target = torch::zeros({batch.size, std::ssize(channels), depth, height, width});
  const auto voxels = static_cast<std::size_t>(voxel_count(batch.patch));
  float* output = target.data_ptr<float>();
  for (std::size_t sample = 0; sample < static_cast<std::size_t>(batch.size); ++sample)
    for (const std::vector<int>& values : channels) {
      look_up(batch.labels, sample * voxels, voxels, table_of(values, 1), output);
      output += voxels;
    }
  return target;
}

torch::Tensor index_targets(const Batch& batch, const TargetSpec& spec) {
  std::vector<std::int64_t> table(1, 0);
  for (std::size_t i = 0; i < spec.classes.size(); ++i)
    enter(spec.classes[i].values, static_cast<std::int64_t>(i) + 1, table);
  if (spec.ignore_label) enter({*spec.ignore_label}, *spec.ignored_index(), table);
  const auto [depth, height, width] = batch.patch;
  torch::Tensor target = torch::empty({batch.size, depth, height, width}, torch::kInt64);
  look_up(batch.labels, 0, batch.labels.size(), table, target.data_ptr<std::int64_t>());
  return target;
}

}  // namespace

Dataset with_first_classes(Dataset dataset, std::int64_t count) {
  const auto kept = static_cast<std::size_t>(count);
  if (count <= 0 || kept >= dataset.classes.size()) return dataset;
  dataset.classes.resize(kept);
  if (dataset.region_based) dataset.regions_class_order.resize(kept);
  const auto is_gone = [&](const std::string& name) {
    return std::none_of(dataset.classes.begin(), dataset.classes.end(),
                        [&](const LabelClass& known) { return known.name == name; });
  };
  for (auto group = dataset.groups.begin(); group != dataset.groups.end();) {
    std::erase_if(group->second, is_gone);
    group = group->second.empty() ? dataset.groups.erase(group) : std::next(group);
  }
  return dataset;
}

TargetSpec target_spec_of(const Dataset& dataset) {
  return {dataset.classes, dataset.region_based, dataset.ignore_label};
}

torch::Tensor image_tensor(const Batch& batch) {
  const auto [depth, height, width] = batch.patch;
  return torch::from_blob(const_cast<float*>(batch.image.data()), {batch.size, batch.channels, depth, height, width});
}

torch::Tensor target_tensor(const Batch& batch, const TargetSpec& spec) {
  return spec.region_based ? region_targets(batch, spec) : index_targets(batch, spec);
}

}  // namespace m3d
