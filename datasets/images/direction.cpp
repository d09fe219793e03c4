#include "datasets/images/direction.h"

#include <cmath>

namespace m3d {
namespace {

/// Transposed inverse times determinant.
Matrix3 cofactors(const Matrix3& m) {
  Matrix3 result;
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 3; ++c)
      result[3 * r + c] = m[3 * ((r + 1) % 3) + (c + 1) % 3] * m[3 * ((r + 2) % 3) + (c + 2) % 3] -
                          m[3 * ((r + 1) % 3) + (c + 2) % 3] * m[3 * ((r + 2) % 3) + (c + 1) % 3];
  return result;
}

}  // namespace

double determinant(const Matrix3& matrix) {
  const Matrix3 minors = cofactors(matrix);
  return matrix[0] * minors[0] + matrix[1] * minors[1] + matrix[2] * minors[2];
}

double deviation_from_orthonormal(const Matrix3& matrix) {
  double largest = 0;
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = 0; b < 3; ++b) {
      double product = a == b ? -1 : 0;
      for (std::size_t row = 0; row < 3; ++row) product += matrix[3 * row + a] * matrix[3 * row + b];
      if (!(std::abs(product) <= largest)) largest = std::abs(product);
      if (std::isnan(largest)) return largest;
    }
  return largest;
}

Matrix3 nearest_orthonormal(Matrix3 axes) {
  for (int step = 0; step < 50; ++step) {
    const Matrix3 minors = cofactors(axes);
    const double scale = axes[0] * minors[0] + axes[1] * minors[1] + axes[2] * minors[2];
    for (std::size_t i = 0; i < 9; ++i) axes[i] = 0.5 * (axes[i] + minors[i] / scale);
  }
  return axes;
}

double largest_turn(const Matrix3& a, const Matrix3& b) {
  double largest = 0;
  for (std::size_t c = 0; c < 3; ++c) {
    const double turn = std::hypot(a[c] - b[c], a[3 + c] - b[3 + c], a[6 + c] - b[6 + c]);
    if (!(turn <= largest)) largest = turn;
    if (std::isnan(largest)) break;
  }
  return largest;
}

}  // namespace m3d
