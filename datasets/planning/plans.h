#pragma once
// nnU-Net v2's plans file (nnUNetPlans.json): what a dataset is resampled to, normalised with and trained on. The JSON
// document is kept whole, so that keys that only nnU-Net needs survive. Source: nnunet_conventions.md §3, nnU-Net's
// PlansManager.
#include <filesystem>
#include <string>
#include <vector>

#include "common/strict_yaml.h"
#include "datasets/preprocessing/axes.h"
#include "datasets/preprocessing/normalisation.h"
#include "datasets/preprocessing/preprocessing.h"
#include "datasets/preprocessing/resampling.h"

namespace m3d {

/// One configuration, `inherits_from` resolved. Axes are the transposed ones; a 2D configuration has two of them.
struct PlanConfiguration {
  std::string name;             // "3d_fullres"
  std::string data_identifier;  // folder of the preprocessed cases
  std::vector<std::int64_t> patch_size;
  std::int64_t batch_size = 2;
  std::vector<double> spacing;
  std::vector<Normalisation> normalisations;  // by channel
  std::vector<bool> use_mask_for_norm;
  ResamplingRule image, labels, logits;
  bool batch_dice = false;
  std::string previous_stage;            // of a cascade; empty: none
  std::vector<std::string> next_stages;  // configurations that take this one's predictions
  std::string network_class;             // "…unet.PlainConvUNet"
  Json network_arguments;                // arch_kwargs
};

class Plans {
 public:
  /// Throws UserError naming `where` and the key for what is missing, of the wrong type or not supported.
  Plans(Json json, std::string where);
  static Plans read(const std::filesystem::path& file);

  const Json& json() const { return json_; }
  const std::string& where() const { return where_; }
  /// Of the document: runs with equal plans are equal experiments.
  std::string hash() const;

  const std::string& name() const { return name_; }
  const std::string& image_reader() const { return image_reader_; }
  /// Axis i of prepared cases is axis transpose()[i] of the reader's array.
  const AxisOrder& transpose() const { return transpose_; }
  const std::vector<ChannelStatistics>& intensities() const { return intensities_; }

  std::vector<std::string> configuration_names() const;
  /// Throws UserError for an unknown name (nearest one) and for a broken configuration.
  PlanConfiguration configuration(const std::string& name) const;

 private:
  const Json& configuration_json(const std::string& name) const;
  Json resolved(const std::string& name, std::vector<std::string>& visited) const;

  Json json_;
  std::string where_, name_, image_reader_;
  AxisOrder transpose_{0, 1, 2};
  std::vector<ChannelStatistics> intensities_;
};

/// The "foreground_intensity_properties_per_channel" of plans and fingerprints, and back.
Json intensities_json(const std::vector<ChannelStatistics>& channels);
std::vector<ChannelStatistics> parse_intensities(const Json& json);

/// The "architecture" entry of a U-Net with the given sizes (n_stages, strides …); `axes` is "2d" or "3d".
Json unet_architecture_json(bool plain, const std::string& axes, const Json& sizes);

/// How plans files name the normalisations.
std::string normalisation_name(Normalisation scheme);

}  // namespace m3d
