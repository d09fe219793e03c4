// Which reader reads what, and what becomes of the voxels that it hands over.
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <string>

#include "common/error.h"
#include "datasets/images/dicom_series.h"
#include "datasets/images/image.h"
#include "datasets/images/stored_volume.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

using Parser = StoredVolume (*)(const fs::path&);

struct Format {
  const char* ending;
  Parser parser;
};
constexpr Format kFormats[] = {{".nii", parse_nifti},     {".nii.gz", parse_nifti},  {".hdr", parse_nifti},
                               {".hdr.gz", parse_nifti},  {".img", parse_nifti},     {".img.gz", parse_nifti},
                               {".mha", parse_metaimage}, {".mhd", parse_metaimage}, {".nrrd", parse_nrrd},
                               {".nhdr", parse_nrrd},     {".gipl", parse_gipl},     {".gipl.gz", parse_gipl}};

Parser parser_for(const fs::path& file) {
  const std::string name = file.filename().string();
  for (const Format& format : kFormats)
    if (name.ends_with(format.ending)) return format.parser;
  throw UserError(file.string() +
                  ": not an image this program reads; expected NIfTI (.nii, .nii.gz, .hdr with .img), MetaImage (.mha, "
                  ".mhd), NRRD (.nrrd, .nhdr), GIPL (.gipl) or a folder with one DICOM series");
}

void read_any(const fs::path& file, VoxelSink& sink) try {
  std::error_code ignored;
  if (fs::is_directory(file, ignored))
    read_dicom_series(file, sink);
  else
    read_stored_voxels(parser_for(file)(file), sink);
} catch (const std::bad_alloc&) {
  throw RunError("not enough memory to read " + file.string());
}

void require_one_channel(const fs::path& file, std::int64_t channels) {
  if (channels != 1)
    throw UserError(file.string() + ": expected a 3D image, found " + std::to_string(channels) +
                    " volumes in it (4D); split it into one file a channel (_0000, _0001 …)");
}

class GeometrySink : public VoxelSink {
 public:
  bool begin(const VolumeHeader& header) override {
    geometry = header.geometry;
    return false;
  }
  void take(std::span<const float> /*voxels*/) override {}
  Geometry geometry;
};

class ChannelsSink : public VoxelSink {
 public:
  explicit ChannelsSink(const fs::path& file) : file_(file) {}
  bool begin(const VolumeHeader& header) override {
    if (header.channels > kMostChannels)
      throw UserError(file_.string() + ": has " + std::to_string(header.channels) +
                      " channels; expected a few (is the fourth axis time?); keep those that are wanted");
    images_.resize(static_cast<std::size_t>(header.channels));
    per_channel_ = static_cast<std::size_t>(voxel_count(header.geometry.shape));
    const std::size_t room = std::min<std::uint64_t>(per_channel_, header.reserve_voxels / images_.size());
    for (ImageF& image : images_) {
      image.geometry = header.geometry;
      image.voxels.reserve(room);
    }
    return true;
  }
  void take(std::span<const float> voxels) override {
    while (!voxels.empty()) {
      std::vector<float>& target = images_[filling_].voxels;
      const std::size_t part = std::min(voxels.size(), per_channel_ - target.size());
      target.insert(target.end(), voxels.begin(), voxels.begin() + static_cast<std::ptrdiff_t>(part));
      voxels = voxels.subspan(part);
      if (target.size() == per_channel_) ++filling_;
    }
  }
  std::vector<ImageF> take_images() { return std::move(images_); }

 protected:
  fs::path file_;

 private:
  static constexpr std::int64_t kMostChannels = 1024;
  std::vector<ImageF> images_;
  std::size_t per_channel_ = 0, filling_ = 0;
};

class LabelSink : public VoxelSink {
 public:
  explicit LabelSink(const fs::path& file) : file_(file) {}
  bool begin(const VolumeHeader& header) override {
    require_one_channel(file_, header.channels);
    labels.geometry = header.geometry;
    labels.voxels.reserve(
        std::min<std::uint64_t>(static_cast<std::uint64_t>(voxel_count(header.geometry.shape)), header.reserve_voxels));
    return true;
  }
  void take(std::span<const float> voxels) override {
    const std::size_t before = labels.voxels.size();
    labels.voxels.resize(before + voxels.size());
    bool whole = true;
    for (std::size_t i = 0; i < voxels.size(); ++i) {
      const float bounded = std::clamp(voxels[i], kSmallest, kLargest);
      labels.voxels[before + i] = static_cast<std::int16_t>(bounded);
      whole = whole && static_cast<float>(labels.voxels[before + i]) == voxels[i];
    }
    if (whole) return;
    const auto bad = std::find_if(voxels.begin(), voxels.end(), [](float value) {
      return value != std::floor(value) || value < kSmallest || value > kLargest;
    });
    throw UserError(file_.string() + ": label " + std::to_string(*bad) +
                    " is not a whole number from -32768 to 32767; is this an image instead of a label map?");
  }
  LabelImage labels;

 private:
  static constexpr float kSmallest = std::numeric_limits<std::int16_t>::min();
  static constexpr float kLargest = std::numeric_limits<std::int16_t>::max();
  fs::path file_;
};

/// Refuses several channels before their voxels are read.
class ImageSink : public ChannelsSink {
 public:
  using ChannelsSink::ChannelsSink;
  bool begin(const VolumeHeader& header) override {
    require_one_channel(file_, header.channels);
    return ChannelsSink::begin(header);
  }
};

}  // namespace

ImageF read_image(const fs::path& file) {
  ImageSink sink(file);
  read_any(file, sink);
  return std::move(sink.take_images().front());
}

std::vector<ImageF> read_channels(const fs::path& file) {
  ChannelsSink sink(file);
  read_any(file, sink);
  return sink.take_images();
}

LabelImage read_labels(const fs::path& file) {
  LabelSink sink(file);
  read_any(file, sink);
  return std::move(sink.labels);
}

Geometry read_geometry(const fs::path& file) {
  GeometrySink sink;
  read_any(file, sink);
  return sink.geometry;
}

}  // namespace m3d
