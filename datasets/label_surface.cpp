#include "datasets/label_surface.h"

#include <itkBinaryMask3DMeshSource.h>
#include <itkImage.h>
#include <itkMesh.h>

#include <algorithm>

#include "datasets/crop.h"

namespace m3d {
namespace {

using Mask = itk::Image<unsigned char, 3>;
using Mesh = itk::Mesh<double, 3>;

/// The box with one empty voxel around it, so that the surface closes at the image's border too.
Mask::Pointer padded(const std::vector<std::uint8_t>& voxels, const Shape3& shape, const Box& box) {
  auto mask = Mask::New();
  const Shape3 inner = box.shape();
  Mask::SizeType size;
  for (unsigned i = 0; i < 3; ++i) size[i] = static_cast<itk::SizeValueType>(inner[2 - i] + 2);
  mask->SetRegions(size);
  mask->Allocate(true);
  const std::vector<std::uint8_t> kept = cropped(voxels, shape, box);
  for (std::int64_t row = 0; row < inner[0] * inner[1]; ++row) {
    const std::int64_t z = row / inner[1] + 1, y = row % inner[1] + 1;
    std::copy_n(kept.begin() + row * inner[2], inner[2],
                mask->GetBufferPointer() + (z * (inner[1] + 2) + y) * (inner[2] + 2) + 1);
  }
  return mask;
}

/// From the mask's indices (x, y, z) to millimetres.
Point3 physical(const Geometry& geometry, const Box& box, const Mesh::PointType& point) {
  Point3 place = geometry.origin_mm;
  for (std::size_t i = 0; i < 3; ++i) {
    const double index = point[static_cast<unsigned>(i)] - 1 + static_cast<double>(box.begin[2 - i]);
    for (std::size_t row = 0; row < 3; ++row)
      place[row] += geometry.direction[3 * row + i] * geometry.spacing_mm[2 - i] * index;
  }
  return place;
}

double determinant(const std::array<double, 9>& m) {
  return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

}  // namespace

Surface label_surface(const LabelImage& labels, int value) {
  Surface surface;
  std::vector<std::uint8_t> voxels(labels.voxels.size());
  std::transform(labels.voxels.begin(), labels.voxels.end(), voxels.begin(),
                 [&](int label) { return static_cast<std::uint8_t>(label == value); });
  if (std::find(voxels.begin(), voxels.end(), 1) == voxels.end()) return surface;
  const Box box = bounding_box(voxels, labels.shape());
  auto source = itk::BinaryMask3DMeshSource<Mask, Mesh>::New();
  source->SetInput(padded(voxels, labels.shape(), box));
  source->SetObjectValue(1);
  source->Update();
  Mesh& mesh = *source->GetOutput();
  for (itk::IdentifierType i = 0; i < mesh.GetNumberOfPoints(); ++i)
    surface.points.push_back(physical(labels.geometry, box, mesh.GetPoint(i)));
  const bool mirrored = determinant(labels.geometry.direction) < 0;  // turns the triangles inside out
  for (auto cell = mesh.GetCells()->Begin(); cell != mesh.GetCells()->End(); ++cell) {
    const auto* corners = cell.Value()->PointIdsBegin();
    std::array<std::uint32_t, 3> triangle{};
    for (std::size_t i = 0; i < 3; ++i) triangle[i] = static_cast<std::uint32_t>(corners[mirrored ? 2 - i : i]);
    surface.triangles.push_back(triangle);
  }
  return surface;
}

}  // namespace m3d
