#include "datasets/preprocessing/case_memory.h"

#include <unistd.h>

#include <algorithm>

#include "datasets/parallel.h"

namespace m3d {

int cases_at_once(const Dataset& dataset) {
  // A channel as read, cropped, resampled and a label map or two beside them; grids grow when they are resampled.
  constexpr std::int64_t bytes_per_voxel = 24;
  std::int64_t largest = 1;
  for (const CaseFiles& files : dataset.training)
    largest = std::max(largest, voxel_count(read_geometry(files.channels.front()).shape));
  const std::int64_t memory = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 2;
  const std::int64_t bytes = largest * bytes_per_voxel * (std::ssize(dataset.channel_names) + 1);
  return static_cast<int>(std::clamp<std::int64_t>(memory / bytes, 1, parallel_threads()));
}

}  // namespace m3d
