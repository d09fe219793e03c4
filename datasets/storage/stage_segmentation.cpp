#include "datasets/storage/stage_segmentation.h"

#include <algorithm>
#include <limits>

#include "common/atomic_file.h"
#include "common/error.h"
#include "datasets/storage/blosc_array.h"
#include "datasets/storage/read_box.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

std::string sizes_text(const Shape3& shape) {
  return std::to_string(shape[0]) + "x" + std::to_string(shape[1]) + "x" + std::to_string(shape[2]);
}

template <class Stored>
void write_as(const fs::path& file, std::span<const std::int16_t> labels, const Shape3& shape, const Shape3& patch) {
  const std::vector<Stored> values(labels.begin(), labels.end());
  const Shape4 extent{1, shape[0], shape[1], shape[2]};
  const BloscLayout layout = blosc_layout(extent, patch, sizeof(Stored));
  write_atomically(file, [&](const fs::path& temporary) {
    write_blosc_volume(temporary, std::span<const Stored>(values), extent, layout);
  });
}

class CascadeSource : public PatchSource {
 public:
  CascadeSource(std::shared_ptr<const PatchSource> images, StageSegmentation segmentation)
      : images_(std::move(images)), segmentation_(std::move(segmentation)) {}

  Shape3 shape() const override { return images_->shape(); }
  std::int64_t channels() const override { return images_->channels(); }
  bool has_previous_stage() const override { return true; }
  std::shared_ptr<const ClassLocations> class_locations() const override { return images_->class_locations(); }
  std::shared_ptr<const std::vector<std::int64_t>> annotated_locations() const override {
    return images_->annotated_locations();
  }
  void read(const Shape3& begin, const Shape3& size, const PatchTarget& target) const override {
    images_->read(begin, size, target);
    if (target.previous != nullptr) segmentation_.read(begin, size, target);
  }

 private:
  std::shared_ptr<const PatchSource> images_;
  StageSegmentation segmentation_;
};

}  // namespace

void write_stage_segmentation(const fs::path& file, std::span<const std::int16_t> labels, const Shape3& shape,
                              const Shape3& patch, int largest) {
  const bool narrow = largest <= std::numeric_limits<std::uint8_t>::max();
  narrow ? write_as<std::uint8_t>(file, labels, shape, patch) : write_as<std::uint16_t>(file, labels, shape, patch);
}

StageSegmentation::StageSegmentation(fs::path file) : file_(std::move(file)) {
  const BloscArray array(file_);
  if (array.shape()[0] != 1 || (array.type() != "|u1" && array.type() != "<u2"))
    throw RunError(file_.string() + ": expected one label map of uint8 or uint16, found " +
                   std::to_string(array.shape()[0]) + " of the type '" + array.type() + "'");
  std::copy(array.shape().begin() + 1, array.shape().end(), shape_.begin());
}

void StageSegmentation::read(const Shape3& begin, const Shape3& size, const PatchTarget& target) const {
  const BloscArray array(file_);
  array.type() == "|u1" ? read_box<std::uint8_t>(array, begin, size, target, target.previous)
                        : read_box<std::uint16_t>(array, begin, size, target, target.previous);
}

std::vector<std::int16_t> StageSegmentation::whole() const {
  std::vector<std::int16_t> labels(static_cast<std::size_t>(voxel_count(shape_)));
  read({0, 0, 0}, shape_, {.shape = shape_, .previous = labels.data()});
  return labels;
}

StageSegmentation open_stage_segmentation(const fs::path& file, const std::string& id, const Shape3& shape) {
  try {
    StageSegmentation previous(file);
    if (previous.shape() == shape) return previous;
    throw UserError(file.string() + ": has " + sizes_text(previous.shape()) + " voxels; the case '" + id + "' has " +
                    sizes_text(shape) +
                    ": it was made for another plan, or the case has changed; run the first stage again");
  } catch (const RunError& error) {
    throw UserError("the first stage's segmentation of case '" + id + "': " + error.what());
  }
}

std::shared_ptr<const PatchSource> with_previous_stage(std::shared_ptr<const PatchSource> images,
                                                       StageSegmentation previous) {
  return std::make_shared<CascadeSource>(std::move(images), std::move(previous));
}

}  // namespace m3d
