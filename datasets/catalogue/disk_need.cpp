#include "datasets/catalogue/disk_need.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "common/error.h"
#include "datasets/images/image.h"
#include "datasets/preprocessing/crop.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Share of the voxels within the non-zero box, over evenly spaced cases.
double cropped_share(const std::vector<fs::path>& files, std::size_t sampled) {
  const std::size_t count = std::min(files.size(), sampled);
  if (count == 0) return 1;
  double share = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<ImageF> channels{read_image(files[i * files.size() / count])};
    const Shape3& shape = channels[0].shape();
    share += static_cast<double>(voxel_count(bounding_box(nonzero_mask(channels), shape).shape())) /
             static_cast<double>(voxel_count(shape));
  }
  return share / static_cast<double>(count);
}

fs::path nearest_existing(fs::path folder) {
  folder = fs::absolute(folder);
  while (!fs::exists(folder) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

dev_t device_of(const fs::path& folder) {
  struct stat status {};
  return stat(folder.c_str(), &status) == 0 ? status.st_dev : 0;
}

}  // namespace

std::int64_t preprocessed_bytes(const std::vector<fs::path>& first_channels, std::size_t channels,
                                std::size_t sampled) {
  std::vector<Geometry> geometries;
  std::array<std::vector<double>, 3> spacings;
  for (const fs::path& file : first_channels) {
    geometries.push_back(read_geometry(file));
    for (std::size_t axis = 0; axis < 3; ++axis) spacings[axis].push_back(geometries.back().spacing_mm[axis]);
  }
  if (geometries.empty()) return 0;
  const double target = median(spacings[0]) * median(spacings[1]) * median(spacings[2]);
  double voxels = 0;
  for (const Geometry& geometry : geometries)
    voxels += static_cast<double>(voxel_count(geometry.shape)) * geometry.spacing_mm[0] * geometry.spacing_mm[1] *
              geometry.spacing_mm[2] / target;
  const double bytes_a_voxel = 4.0 * static_cast<double>(channels) + 2.0;
  return static_cast<std::int64_t>(std::ceil(voxels * cropped_share(first_channels, sampled) * bytes_a_voxel));
}

std::string readable_bytes(std::int64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string require_disk(const std::vector<DiskNeed>& needs) {
  std::map<dev_t, std::int64_t> together;
  std::string text;
  for (const DiskNeed& need : needs) {
    const fs::path place = nearest_existing(need.folder);
    const auto free = static_cast<std::int64_t>(fs::space(place).available);
    const std::int64_t sum = together[device_of(place)] += need.bytes;
    if (sum > free)
      throw UserError("not enough disk: " + need.what + " data need about " + readable_bytes(need.bytes) + " in " +
                      need.folder.string() +
                      (sum > need.bytes ? ", " + readable_bytes(sum) + " with the others there" : "") + ", and " +
                      readable_bytes(free) + " are free; free some, or give another place with --data-root " +
                      "(nnUNet_preprocessed for preprocessed data)");
    text += (text.empty() ? "" : "\n") + need.what + ": up to " + readable_bytes(need.bytes) + " in " +
            need.folder.string() + " (" + readable_bytes(free) + " free)";
  }
  return text;
}

}  // namespace m3d
