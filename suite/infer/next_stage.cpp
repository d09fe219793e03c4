#include "suite/infer/next_stage.h"

namespace m3d {
namespace {

PreparedCase whole_grid(const std::string& id, const Shape3& shape) {
  PreparedCase grid;
  grid.id = id;
  grid.shape = grid.original.shape = shape;
  return grid;
}

LogitGrids way_to(const PreparedCase& prepared, const Shape3& shape) {
  const PlannedGrid& own = prepared.planned.value();
  return {prepared.id, prepared.shape, shape, own.spacing_mm, own.spacing_mm, own.logits};
}

}  // namespace

NextStagePainter::NextStagePainter(const Dataset& dataset, const PreparedCase& prepared, NextStageLabels& result)
    : result_(result),
      grid_(whole_grid(prepared.id, result.shape)),
      painter_(dataset, grid_),
      resampled_(way_to(prepared, result.shape), output_channels(dataset),
                 [this](std::int64_t first, const at::Tensor& logits) { painter_.add(first, logits); }) {}

}  // namespace m3d
