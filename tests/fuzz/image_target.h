#pragma once
// What the image targets do with a parser: header, and voxels up to a bound.
#include "datasets/images/stored_volume.h"
#include "tests/fuzz/fuzz_target.h"

namespace m3d::fuzz {

class CountingSink : public VoxelSink {
 public:
  bool begin(const VolumeHeader& header) override {
    expected_ = voxel_count(header.geometry.shape) * header.channels;
    return true;
  }
  void take(std::span<const float> voxels) override {
    for (const float voxel : voxels) sum_ += static_cast<double>(voxel);
    taken_ += std::ssize(voxels);
  }
  /// After a reading without an error every voxel must have come.
  void require_all() const {
    if (taken_ != expected_ || sum_ != sum_) throw std::logic_error("voxels are missing");
  }

 private:
  std::int64_t expected_ = -1, taken_ = 0;
  double sum_ = 0;
};

inline void read_image_bytes(StoredVolume (*parse)(const std::filesystem::path&), const std::uint8_t* data,
                             std::size_t size) {
  const MemoryFile file(data, size);
  CountingSink sink;
  read_stored_voxels(parse(file.path()), sink);
  sink.require_all();
}

}  // namespace m3d::fuzz
