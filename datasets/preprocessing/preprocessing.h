#pragma once
// From a loaded case to what a network sees: crop to non-zero, normalise by channel type, and either keep the native
// spacing (embedded datasets) or go by a plan (plans.h). Source: nnunet_conventions.md §2, §4.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/catalogue/dataset.h"
#include "datasets/preprocessing/axes.h"
#include "datasets/preprocessing/resampling.h"

namespace m3d {

/// Foreground statistics of one channel over the training cases (§2).
struct ChannelStatistics {
  double mean = 0, standard_deviation = 1, minimum = 0, maximum = 0, median = 0, percentile_00_5 = 0,
         percentile_99_5 = 0;
};

struct Fingerprint {
  std::vector<ChannelStatistics> channels;
  std::vector<Shape3> cropped_shapes;  // by training case
  double median_relative_size = 1;     // voxels after the crop / before, median over cases
  std::vector<Spacing3> spacings_mm;   // by training case, as the image reader gives them; extract_fingerprint only
};

/// Statistics over the given cases only (a fold's training side), so that nothing of the validation cases leaks in.
Fingerprint fingerprint_of(const Dataset& dataset, const std::vector<std::string>& case_ids);

/// The way from a case's file to the grid of a plan: axes, crop (crop_begin, cropped_shape), resampling.
struct PlannedGrid {
  AxisMap axes;                                 // from the file's axes to those of the plan
  Shape3 cropped_shape{};                       // before resampling
  Spacing3 cropped_spacing_mm{}, spacing_mm{};  // before and after resampling
  ResamplingRule logits;                        // for the way back
};

/// A case ready for patches. `image` is [C, D, H, W] float32, `labels` [D, H, W] with -1 outside the non-zero mask
/// (empty where the case has no label map); `crop_begin`, `planned` and `original` lead back to the file's geometry.
struct PreparedCase {
  std::string id;
  Shape3 shape{};
  std::int64_t channels = 0;
  std::vector<float> image;
  std::vector<std::int16_t> labels;
  Geometry original;                   // of the file
  Shape3 crop_begin{};                 // along the prepared axes
  std::optional<PlannedGrid> planned;  // absent: the file's own axes and spacing
  /// Voxel indices (row-major in `shape`) of each class of the dataset, at most 10,000 a class, from a fixed seed (§4).
  std::vector<std::vector<std::int64_t>> class_locations;
  /// Of all voxels that are not to be ignored, in the same way; empty unless the dataset has an ignore label.
  std::vector<std::int64_t> annotated_locations;
};

/// By channel: whether its statistics leave out what lies outside the non-zero mask (§3).
std::vector<bool> channels_normalised_inside(const Dataset& dataset, const Fingerprint& fingerprint);

/// At native spacing, with the z-score's statistics from inside the non-zero mask where cropping removed much.
/// Works within the memory of `loaded`, channel by channel.
PreparedCase prepare_case(const Dataset& dataset, const Fingerprint& fingerprint, LoadedCase loaded);

}  // namespace m3d
