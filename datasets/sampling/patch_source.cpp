#include "datasets/sampling/patch_source.h"

#include <algorithm>

#include "datasets/preprocessing/preprocessing.h"

namespace m3d {
namespace {

template <class T>
void copy_box(const T* source, const Shape3& shape, const Shape3& begin, const Shape3& size, const PatchTarget& target,
              T* output) {
  for (std::int64_t z = 0; z < size[0]; ++z)
    for (std::int64_t y = 0; y < size[1]; ++y) {
      const T* from = source + ((begin[0] + z) * shape[1] + begin[1] + y) * shape[2] + begin[2];
      std::copy(from, from + size[2],
                output + ((target.offset[0] + z) * target.shape[1] + target.offset[1] + y) * target.shape[2] +
                    target.offset[2]);
    }
}

class InMemorySource : public PatchSource {
 public:
  explicit InMemorySource(std::shared_ptr<const PreparedCase> prepared) : prepared_(std::move(prepared)) {}

  Shape3 shape() const override { return prepared_->shape; }
  std::int64_t channels() const override { return prepared_->channels; }
  std::shared_ptr<const ClassLocations> class_locations() const override {
    return {prepared_, &prepared_->class_locations};
  }
  std::shared_ptr<const std::vector<std::int64_t>> annotated_locations() const override {
    return {prepared_, &prepared_->annotated_locations};
  }
  void read(const Shape3& begin, const Shape3& size, const PatchTarget& target) const override {
    for (std::int64_t c = 0; c < prepared_->channels; ++c)
      copy_box(prepared_->image.data() + c * voxel_count(prepared_->shape), prepared_->shape, begin, size, target,
               target.image + c * voxel_count(target.shape));
    copy_box(prepared_->labels.data(), prepared_->shape, begin, size, target, target.labels);
  }

 private:
  std::shared_ptr<const PreparedCase> prepared_;
};

}  // namespace

std::shared_ptr<const PatchSource> in_memory_source(std::shared_ptr<const PreparedCase> prepared) {
  return std::make_shared<InMemorySource>(std::move(prepared));
}

}  // namespace m3d
