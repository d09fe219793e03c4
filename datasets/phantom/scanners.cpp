// From noise-free intensities to what a scanner would have stored.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "datasets/phantom/design.h"

namespace m3d::phantom {
namespace {

constexpr double kRicianSigma = 22, kBiasAmplitude = 0.18, kHounsfieldSigma = 12;

/// A product of three slow waves, one an axis: within a factor of exp(±kBiasAmplitude), as after imperfect correction.
class BiasField {
 public:
  BiasField(const Shape3& shape, RandomStream& random) {
    for (std::size_t k = 0; k < 3; ++k) {
      const double frequency = random.uniform(0.4, 0.9) * std::numbers::pi / static_cast<double>(shape[k]);
      const double phase = random.uniform(0, 2 * std::numbers::pi);
      for (std::int64_t i = 0; i < shape[k]; ++i) {
        factors_[k].push_back(std::exp(kBiasAmplitude / 3 * std::cos(frequency * static_cast<double>(i) + phase)));
      }
    }
  }
  double operator()(std::int64_t d, std::int64_t h, std::int64_t w) const {
    return factors_[0][static_cast<std::size_t>(d)] * factors_[1][static_cast<std::size_t>(h)] *
           factors_[2][static_cast<std::size_t>(w)];
  }

 private:
  std::array<std::vector<double>, 3> factors_;
};

void scan_channel(ImageF& image, RandomStream& random) {
  const BiasField bias(image.shape(), random);
  const double gain = random.uniform(0.92, 1.08);
  std::size_t voxel = 0;
  for (std::int64_t d = 0; d < image.shape()[0]; ++d) {
    for (std::int64_t h = 0; h < image.shape()[1]; ++h) {
      for (std::int64_t w = 0; w < image.shape()[2]; ++w, ++voxel) {
        const double signal = gain * bias(d, h, w) * image.voxels[voxel];
        const double real = signal + kRicianSigma * random.normal(), imaginary = kRicianSigma * random.normal();
        image.voxels[voxel] = static_cast<float>(std::round(std::hypot(real, imaginary)));
      }
    }
  }
}

}  // namespace

void scan_mri(std::vector<ImageF>& channels, std::uint64_t seed, int case_index) {
  for (std::size_t c = 0; c < channels.size(); ++c) {
    RandomStream random(seed, "phantom_mri/scan/" + std::to_string(case_index), c);
    scan_channel(channels[c], random);
  }
}

void scan_ct(std::vector<ImageF>& channels, std::uint64_t seed, int case_index) {
  RandomStream random(seed, "phantom_ct/scan", static_cast<std::uint64_t>(case_index));
  for (ImageF& image : channels) {
    for (float& value : image.voxels) {
      value = static_cast<float>(std::max(-1024.0, std::round(value + kHounsfieldSigma * random.normal())));
    }
  }
}

}  // namespace m3d::phantom
