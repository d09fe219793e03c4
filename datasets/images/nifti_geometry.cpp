#include "datasets/images/nifti_geometry.h"

#include <vnl/algo/vnl_svd.h>
#include <vnl/vnl_matrix.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <string>

#include "common/error.h"
#include "datasets/images/direction.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

/// Index (x, y, z) to millimetres (RAS), as libnifti holds it: float32.
using Affine = std::array<std::array<float, 4>, 3>;

constexpr double kRightAngles = 1e-4;       // ITK's
constexpr double kQuaternionExcess = 1e-3;  // of |(b, c, d)|² above 1: float32 and careless writers
constexpr float kScaleDifference = 1e-3F;   // ITK's, between pixdim and the sform's columns
constexpr double kFormDifference = 1e-3;    // of a direction cosine, for the warning
constexpr int kScanner = 1;                 // NIFTI_XFORM_SCANNER_ANAT

/// libnifti's formula, with its order of rounding.
Affine qform_affine(const NiftiHeader& header) {
  double b = header.quaternion[0], c = header.quaternion[1], d = header.quaternion[2];
  double a = 1 - (b * b + c * c + d * d);
  if (a < 1e-7) {  // half a turn
    const double scale = 1 / std::sqrt(b * b + c * c + d * d);
    b *= scale, c *= scale, d *= scale, a = 0;
  } else {
    a = std::sqrt(a);
  }
  const double x = header.spacing[0], y = header.spacing[1], z = header.spacing[2] * header.handedness;
  const double rows[3][3] = {{(a * a + b * b - c * c - d * d) * x, 2 * (b * c - a * d) * y, 2 * (b * d + a * c) * z},
                             {2 * (b * c + a * d) * x, (a * a + c * c - b * b - d * d) * y, 2 * (c * d - a * b) * z},
                             {2 * (b * d - a * c) * x, 2 * (c * d + a * b) * y, (a * a + d * d - c * c - b * b) * z}};
  Affine affine{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) affine[i][j] = static_cast<float>(rows[i][j]);
    affine[i][3] = static_cast<float>(header.qform_offset[i]);
  }
  return affine;
}

Affine sform_affine(const NiftiHeader& header) {
  Affine affine{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 4; ++j) affine[i][j] = static_cast<float>(header.sform[i][j]);
  return affine;
}

/// The axes as unit columns (float32, as ITK compares them).
Matrix3 unit_columns(const Affine& affine, std::array<float, 3>& lengths) {
  Matrix3 unit;
  for (std::size_t c = 0; c < 3; ++c) {
    lengths[c] = std::sqrt(affine[0][c] * affine[0][c] + affine[1][c] * affine[1][c] + affine[2][c] * affine[2][c]);
    for (std::size_t r = 0; r < 3; ++r) unit[3 * r + c] = static_cast<double>(affine[r][c] / lengths[c]);
  }
  return unit;
}

bool finite(const Affine& affine) {
  return std::all_of(affine.begin(), affine.end(), [](const auto& row) {
    return std::all_of(row.begin(), row.end(), [](float value) { return std::isfinite(value); });
  });
}

/// ITK's test whether both forms are one, by its own algebra: offsets, singular values and left singular vectors.
bool same_forms(const Affine& sform, const Affine& qform) {
  vnl_matrix<float> s(3, 3), q(3, 3);
  bool offsets = true;
  for (unsigned i = 0; i < 3; ++i) {
    for (unsigned j = 0; j < 3; ++j) s(i, j) = sform[i][j], q(i, j) = qform[i][j];
    offsets = offsets && std::abs(sform[i][3] - qform[i][3]) <= 1e-4F;
  }
  vnl_svd<float> s_svd(s), q_svd(q);
  for (unsigned i = 0; i < 3; ++i)
    if (!(std::abs(s_svd.W(i) - q_svd.W(i)) <= 1e-4F)) return false;
  // U of the qform is orthogonal: its inverse is its transpose.
  const vnl_matrix<float> turn = s_svd.U() * q_svd.U().transpose();
  return offsets && turn.is_identity(1e-4);
}

struct Forms {
  std::optional<Affine> sform, qform;  ///< only usable ones
  bool sform_at_right_angles = false;
};

Forms usable_forms(const fs::path& file, const NiftiHeader& header) {
  Forms forms;
  const auto [b, c, d] = header.quaternion;
  if (header.qform_code > 0) {
    const Affine affine = qform_affine(header);
    if (finite(affine) && b * b + c * c + d * d <= 1 + kQuaternionExcess)
      forms.qform = affine;
    else
      warn_once(file, "the header's qform is not a rotation and is left out of account");
  }
  if (header.sform_code > 0) {
    const Affine affine = sform_affine(header);
    std::array<float, 3> lengths{};
    const Matrix3 unit = unit_columns(affine, lengths);
    if (finite(affine) && std::abs(determinant(unit)) > 1e-3) {
      forms.sform = affine;
      forms.sform_at_right_angles = deviation_from_orthonormal(unit) <= kRightAngles;
    } else {
      warn_once(file, "the header's sform is singular and is left out of account");
    }
  }
  return forms;
}

[[noreturn]] void refuse_axes(const fs::path& file) {
  throw UserError(file.string() +
                  ": the header's axes are not at right angles (sheared by more than 0.6 degrees, or singular) and it "
                  "has no qform to fall back on; resample the image to an orthogonal grid, or correct its sform");
}

/// The sform with the nearest axes that are at right angles.
Affine straightened(const fs::path& file, const Affine& sform) {
  std::array<float, 3> lengths{};
  const Matrix3 unit = unit_columns(sform, lengths), straight = nearest_orthonormal(unit);
  const double turn = largest_turn(unit, straight);
  if (!(turn <= kLargestRepair)) refuse_axes(file);
  char degrees[32];
  std::snprintf(degrees, sizeof degrees, "%.3g", turn * 180 / 3.14159265358979);
  warn_once(file, std::string("the header's axes are not quite at right angles (by ") + degrees +
                      " degrees); read with the nearest orthogonal ones");
  Affine affine = sform;
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 3; ++c)
      affine[r][c] = static_cast<float>(straight[3 * r + c] * static_cast<double>(lengths[c]));
  return affine;
}

void warn_of_contradictions(const fs::path& file, const NiftiHeader& header, const Forms& forms, bool takes_sform) {
  std::array<float, 3> s_lengths{}, q_lengths{};
  if (forms.sform) {
    const Matrix3 s_unit = unit_columns(*forms.sform, s_lengths);
    for (std::size_t i = 0; i < 3; ++i)
      if (std::abs(s_lengths[i] - static_cast<float>(header.spacing[i])) > kScaleDifference)
        warn_once(file, "the header's sform and pixdim give different spacings; pixdim is used, as ITK and nnU-Net do");
    if (!forms.qform) return;
    const Matrix3 q_unit = unit_columns(*forms.qform, q_lengths);
    double offset = 0;
    for (std::size_t i = 0; i < 3; ++i)
      offset = std::max(offset, static_cast<double>(std::abs((*forms.sform)[i][3] - (*forms.qform)[i][3])));
    if (largest_turn(s_unit, q_unit) > kFormDifference ||
        offset > 0.1 * *std::min_element(header.spacing.begin(), header.spacing.end()))
      warn_once(file, std::string("the header's sform and qform differ; the ") + (takes_sform ? "sform" : "qform") +
                          " is used, as ITK and nnU-Net do");
  }
}

/// Nothing when the header has no form at all.
std::optional<Affine> chosen_form(const fs::path& file, const NiftiHeader& header) {
  if (header.qform_code <= 0 && header.sform_code <= 0) return std::nullopt;
  const Forms forms = usable_forms(file, header);
  if (!forms.sform && !forms.qform) refuse_axes(file);
  bool takes_sform = !forms.qform;
  if (forms.sform && forms.qform)
    takes_sform =
        forms.sform_at_right_angles && (header.sform_code == kScanner || same_forms(*forms.sform, *forms.qform));
  if (header.sizes.size() > 2) warn_of_contradictions(file, header, forms, takes_sform);
  if (!takes_sform && forms.sform && !forms.sform_at_right_angles)
    warn_once(file, "the header's sform has axes that are not at right angles; its qform is used");
  if (!takes_sform) return forms.qform;
  return forms.sform_at_right_angles ? *forms.sform : straightened(file, *forms.sform);
}

/// The first `axes` components of an axis made a unit vector; the others become 0.
void set_axis(Matrix3& direction, std::size_t axis, std::span<const double, 3> ras, std::size_t axes) {
  double sum = 0;
  for (std::size_t i = 0; i < axes; ++i) sum += ras[i] * ras[i];
  const double length = std::sqrt(sum);
  for (std::size_t i = 0; i < 3; ++i) direction[3 * i + axis] = i < axes ? (i < 2 ? -ras[i] : ras[i]) / length : 0;
}

}  // namespace

Geometry nifti_geometry(const fs::path& file, const NiftiHeader& header) {
  Geometry geometry;
  const std::size_t axes = std::min<std::size_t>(header.sizes.size(), 3);
  for (std::size_t i = 0; i < axes; ++i) {
    geometry.shape[2 - i] = header.sizes[i];
    geometry.spacing_mm[2 - i] = header.spacing[i] * header.unit_mm;
  }
  if (axes == 2) {
    geometry.shape[0] = 1;
    geometry.spacing_mm[0] = kFlatSpacing * std::max(geometry.spacing_mm[1], geometry.spacing_mm[2]);
  }
  require_spacing(file, geometry.spacing_mm);
  const auto form = chosen_form(file, header);
  if (!form) return geometry;
  for (std::size_t i = 0; i < axes; ++i) {
    const std::array<double, 3> axis{(*form)[0][i], (*form)[1][i], (*form)[2][i]};
    set_axis(geometry.direction, i, axis, axes);
    const double place = static_cast<double>((*form)[i][3]) * header.unit_mm;
    geometry.origin_mm[i] = i < 2 ? -place : place;
  }
  if (!(std::abs(determinant(geometry.direction)) > 1e-3)) refuse_axes(file);
  return geometry;
}

}  // namespace m3d
