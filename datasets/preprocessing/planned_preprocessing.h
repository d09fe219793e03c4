#pragma once
// Preparing cases by a plan, exactly as nnU-Net v2's DefaultPreprocessor does (nnunet_conventions.md §4, §5).
#include "datasets/planning/plans.h"

namespace m3d {

struct PlannedPreparation {
  LabelRule label_rule = LabelRule::argmax;
};

/// Axes of the plan's reader and transposition, crop to non-zero, normalisation, resampling, foreground locations. A 2D
/// configuration keeps the spacing between slices. Throws UserError when the plan has another number of channels.
PreparedCase prepare_case(const Dataset& dataset, const Plans& plans, const PlanConfiguration& configuration,
                          LoadedCase loaded, const PlannedPreparation& options = {});

/// The way from a file of this geometry to the plan's grid, for a crop that begins anywhere and has this shape (along
/// the plan's axes).
PlannedGrid planned_grid(const Plans& plans, const PlanConfiguration& configuration, const Geometry& file,
                         const Shape3& cropped_shape);

/// From the file's axes to those of an nnU-Net image reader ("SimpleITKIO", "NibabelIOWithReorient" …). Throws
/// UserError for a reader that is not known; `where` names who asks for it.
AxisMap reader_axes(const std::string& image_reader, const Geometry& geometry, const std::string& where);

}  // namespace m3d
