#include "suite/infer/cropped_logits.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <span>
#include <stdexcept>

namespace m3d {
namespace {

LogitGrids way_to_crop(const PreparedCase& prepared) {
  if (!prepared.planned) return {prepared.id, prepared.shape, prepared.shape};
  const PlannedGrid& grid = *prepared.planned;
  return {prepared.id, prepared.shape, grid.cropped_shape, grid.spacing_mm, grid.cropped_spacing_mm, grid.logits};
}

}  // namespace

Shape3 cropped_shape(const PreparedCase& prepared) {
  return prepared.planned ? prepared.planned->cropped_shape : prepared.shape;
}

ResampledLogits::ResampledLogits(LogitGrids grids, std::int64_t channels, SlabConsumer consume)
    : grids_(std::move(grids)), channel_count_(channels), consume_(std::move(consume)) {
  if (grids_.new_shape == grids_.shape) return;
  if (!PlaneResampling::handles(grids_.rule)) {
    const auto [depth, height, width] = grids_.shape;
    whole_ = at::empty({channels, depth, height, width}, at::kFloat);
    return;
  }
  resampling_.emplace(grids_.shape, grids_.new_shape, grids_.spacing_mm, grids_.new_spacing_mm, grids_.rule);
  for (std::int64_t k = 0; k < channels; ++k) channels_.emplace_back(*resampling_);
}

void ResampledLogits::add(std::int64_t first, const at::Tensor& logits) {
  const Shape3& shape = grids_.shape;
  if (logits.dim() != 4 || logits.size(0) != channel_count_ || first != taken_ || first + logits.size(1) > shape[0] ||
      logits.size(2) != shape[1] || logits.size(3) != shape[2])
    throw std::invalid_argument(c10::str("ResampledLogits: logits ", logits.sizes(), " from plane ", first, " of case ",
                                         grids_.case_id, "; expected ", channel_count_, " channels of planes of ",
                                         at::IntArrayRef(shape.data(), 3), " from plane ", taken_));
  if (whole_.defined())
    take_whole(first, logits);
  else if (resampling_)
    take_planes(logits.to(at::kCPU, at::kFloat).contiguous());
  else
    consume_(first, logits);
  if (!resampling_) taken_ += logits.size(1);
}

void ResampledLogits::take_planes(const at::Tensor& logits) {
  const Shape3& target = grids_.new_shape;
  const std::int64_t depth = logits.size(1), plane = logits.size(2) * logits.size(3);
  const float* const voxels = logits.const_data_ptr<float>();
  const at::Tensor result = at::empty({channel_count_, 1, target[1], target[2]}, at::kFloat);
  float* const written = result.mutable_data_ptr<float>();
  const auto for_channels = [&](const auto& work) {
    at::parallel_for(0, channel_count_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) work(channels_[static_cast<std::size_t>(k)], k);
    });
  };
  for (std::int64_t z = 0; z < depth; ++z) {
    for_channels([&](auto& channel, std::int64_t k) { channel.take(voxels + (k * depth + z) * plane); });
    for (const std::int64_t complete = resampling_->complete(++taken_); written_ < complete; ++written_) {
      for_channels(
          [&](auto& channel, std::int64_t k) { channel.write(written_, written + k * target[1] * target[2]); });
      consume_(written_, result);
    }
  }
}

void ResampledLogits::take_whole(std::int64_t first, const at::Tensor& logits) {
  whole_.narrow(1, first, logits.size(1)).copy_(logits);
  if (first + logits.size(1) < grids_.shape[0]) return;
  const Resampling resampling(grids_.shape, grids_.new_shape, grids_.spacing_mm, grids_.new_spacing_mm, grids_.rule);
  const auto [depth, height, width] = grids_.new_shape;
  const at::Tensor result = at::empty({channel_count_, depth, height, width}, at::kFloat);
  const auto voxels = [](const at::Tensor& channel, auto* data) {
    return std::span(data, static_cast<std::size_t>(channel.numel()));
  };
  for (std::int64_t k = 0; k < channel_count_; ++k)
    resampling.image(voxels(whole_[k], whole_[k].const_data_ptr<float>()),
                     voxels(result[k], result[k].mutable_data_ptr<float>()));
  consume_(0, result);
}

CroppedLogits::CroppedLogits(const PreparedCase& prepared, std::int64_t channels, SlabConsumer consume)
    : ResampledLogits(way_to_crop(prepared), channels, std::move(consume)) {}

}  // namespace m3d
