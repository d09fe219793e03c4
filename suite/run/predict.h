#pragma once
// A trained network and cases in, label maps out.
#include <memory>

#include "architectures/registry.h"
#include "datasets/preprocessing.h"
#include "suite/train/settings.h"

namespace m3d {

/// What predictions of one run have in common.
struct Predictor {
  std::shared_ptr<Network> network;  // on `device`, with its trained weights
  Dataset dataset;                   // classes and channels
  Shape3 patch{};
  InferSettings settings;
  std::string device = "cpu", precision = "fp32";

  /// In the case's own geometry. The network is put into evaluation mode.
  LabelImage labels_of(const PreparedCase& prepared) const;
};

}  // namespace m3d
