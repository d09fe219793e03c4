#pragma once
// Where the weighted means of logits lie while tiles are added: in memory, or in a file that is mapped. Internal to
// this room.
#include <torch/torch.h>

#include <vector>

#include "suite/infer/sliding_window.h"

namespace m3d {

class LogitMeans {
 public:
  /// Of `shape`, with no particular values, of float32 (float64 for a float64 image): on the image's device, or, where
  /// they are larger than half of options.memory_bytes, in a file in options.scratch_folder, which goes with this
  /// object or its process. Throws RunError when there is no room for the file.
  LogitMeans(const std::vector<std::int64_t>& shape, const at::Tensor& image, const SlidingWindowOptions& options);
  ~LogitMeans();
  LogitMeans(const LogitMeans&) = delete;
  LogitMeans& operator=(const LogitMeans&) = delete;

  const at::Tensor& tensor() const { return tensor_; }
  const at::TensorOptions& type() const { return type_; }
  /// The process's memory need not hold the file's pages any longer; their values stay.
  void release() const;

 private:
  void map_file(std::size_t bytes, const std::filesystem::path& folder);

  at::TensorOptions type_;
  at::Tensor tensor_;
  void* mapping_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace m3d
