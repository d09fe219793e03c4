#pragma once
// Probabilities of a prediction as a NumPy file, and their means over several.
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <fstream>

#include "datasets/catalogue/dataset.h"
#include "datasets/preprocessing/preprocessing.h"
#include "suite/infer/file_grid.h"

namespace m3d {

/// Writes `.npy`, float32 [K, D, H, W] in the case's own geometry: softmax of the logits, sigmoid for regions; outside
/// the crop background 1 and everything else 0 (nnU-Net v2 inference/export_prediction.py, which packs the same array
/// into an .npz). Memory: one slab.
class ProbabilityFile {
 public:
  /// The file is made whole at once, with the values that hold outside the crop. Both arguments must outlive this
  /// object. Throws RunError where it cannot be written.
  ProbabilityFile(const std::filesystem::path& file, const Dataset& dataset, const PreparedCase& prepared);
  ~ProbabilityFile();
  ProbabilityFile(const ProbabilityFile&) = delete;
  ProbabilityFile& operator=(const ProbabilityFile&) = delete;
  /// Logits as LabelPainter takes them.
  void add(std::int64_t first, const at::Tensor& logits);
  /// Throws RunError unless everything is written.
  void close();

 private:
  void write_outside();
  void map();

  const std::filesystem::path file_;
  const Dataset& dataset_;
  const PreparedCase& prepared_;
  FileGrid grid_;
  std::int64_t header_bytes_ = 0;
  std::size_t bytes_ = 0;
  void* mapping_ = nullptr;
};

/// The same values in memory, of whole logits [K, D, H, W] on the grid of `prepared`.
at::Tensor probabilities_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared);

/// Reads such a file in parts. Throws UserError, naming it, for a file that is not one.
class ProbabilityReader {
 public:
  explicit ProbabilityReader(const std::filesystem::path& file);
  std::int64_t channels() const { return channels_; }
  const Shape3& shape() const { return shape_; }
  /// Planes `first` to first + count - 1: [K, count, H, W].
  at::Tensor planes(std::int64_t first, std::int64_t count);

 private:
  const std::filesystem::path file_;
  std::ifstream stream_;
  std::int64_t header_bytes_ = 0, channels_ = 0;
  Shape3 shape_{};
};

}  // namespace m3d
