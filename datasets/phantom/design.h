#pragma once
// What phantom_mri and phantom_ct share inside this folder: a case's design, the probes, and the two scanners.
#include <optional>
#include <string>
#include <vector>

#include "datasets/phantom/phantom.h"
#include "datasets/phantom/scene.h"

namespace m3d::phantom {

/// A case before it is scanned.
struct Design {
  Scene scene;
  double deformation_mm = 0;
  std::vector<PhantomLane> lanes;
};

/// Where the four lanes of the long_range group run (mm): markers at `marker_h`, beacons at `beacon_h`.
struct LaneLayout {
  std::array<std::array<double, 2>, 4> depth_width{};
  double marker_h = 0, beacon_h = 0;
};

/// How the probes look in a dataset; their labels are `first_label` and the following seven, in the order of
/// probe_class_names().
struct ProbeLook {
  int first_label = 0;
  Signature marker, beacon_a, beacon_b, sphere, rod;
};

std::vector<std::string> probe_class_names();

/// Markers and beacons of four lanes, each shifted by up to `jitter_mm`. False where they do not fit.
bool add_lanes(Design& design, Packing& packing, const ProbeLook& look, const LaneLayout& layout, RandomStream& random);
/// One large sphere between `low` and `high`, to be placed before there is little room.
bool add_large_sphere(Design& design, Packing& packing, const ProbeLook& look, const Point& low, const Point& high,
                      RandomStream& random);
/// Rods, then medium and small spheres, anywhere in the packing's box.
bool add_small_probes(Design& design, Packing& packing, const ProbeLook& look, RandomStream& random);

/// Nothing where the parts did not fit; the caller tries again with another stream.
std::optional<Design> design_head(RandomStream& random);
std::optional<Design> design_torso(RandomStream& random);

/// Class names with the label values of which each consists, and painting order; without background.
struct ClassTable {
  std::vector<std::pair<std::string, std::vector<int>>> classes;
  std::vector<std::string> channel_names;
  bool region_based = false;
};
ClassTable head_classes();
ClassTable torso_classes();

/// Coil sensitivity (a smooth factor a channel) and Rician noise: the magnitude of a complex signal with Gaussian noise
/// (Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618).
void scan_mri(std::vector<ImageF>& channels, std::uint64_t seed, int case_index);
/// Gaussian noise, clipped at −1024 HU.
void scan_ct(std::vector<ImageF>& channels, std::uint64_t seed, int case_index);

}  // namespace m3d::phantom
