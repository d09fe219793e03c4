#pragma once
// Matrices of direction cosines. Internal to the image readers.
#include <array>

namespace m3d {

using Matrix3 = std::array<double, 9>;  ///< row-major; the columns are axes

double determinant(const Matrix3& matrix);
/// The largest difference between transposed(m)·m and the unit matrix; NaN where there is one.
double deviation_from_orthonormal(const Matrix3& matrix);
/// The nearest rotation, or rotation with a reflection, to the columns of `axes` (its polar factor, by Higham's
/// iteration). Meaningless for a singular matrix: ask for its determinant first.
Matrix3 nearest_orthonormal(Matrix3 axes);
/// The largest length of a difference between two columns: for unit columns the chord of the angle between them.
/// NaN where there is one.
double largest_turn(const Matrix3& a, const Matrix3& b);

/// An axis may be turned so far (chord) to make axes orthogonal: half a voxel at the end of 50 voxels, 0.57 degrees.
inline constexpr double kLargestRepair = 0.01;

}  // namespace m3d
