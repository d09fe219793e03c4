#include "suite/infer/probability_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <torch/torch.h>
#include <unistd.h>

#include <fstream>
#include <regex>
#include <utility>

#include "common/error.h"
#include "suite/infer/cropped_logits.h"
#include "suite/infer/export.h"

namespace m3d {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY\x01\x00", 8};  // version 1.0 of the format

/// Magic, length of what follows as two bytes, and a Python dictionary; together a multiple of 64 bytes.
std::string npy_header(std::int64_t channels, const Shape3& shape) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(channels);
  for (const std::int64_t size : shape) text += ", " + std::to_string(size);
  text += "), }";
  const std::size_t used = kMagic.size() + 2 + text.size() + 1;
  text += std::string((64 - used % 64) % 64, ' ') + "\n";
  return std::string(kMagic) + static_cast<char>(text.size() % 256) + static_cast<char>(text.size() / 256) + text;
}

/// Where plane `plane` of channel `channel` begins, in values.
std::int64_t plane_position(const Shape3& shape, std::int64_t channel, std::int64_t plane) {
  return (channel * shape[0] + plane) * shape[1] * shape[2];
}

/// What holds outside the crop.
float outside_value(const Dataset& dataset, std::int64_t channel) {
  return channel == 0 && !dataset.region_based ? 1.0F : 0.0F;
}

/// Writes the probabilities of planes of the crop to `values` [K, voxels of the file].
void put_probabilities(std::int64_t first, const at::Tensor& logits, bool region_based, const FileGrid& grid,
                       std::int64_t voxels, float* values) {
  const at::Tensor exact = logits.to(at::kCPU, at::kFloat);
  const at::Tensor probabilities = (region_based ? at::sigmoid(exact) : at::softmax(exact, 0)).contiguous();
  const float* from = probabilities.const_data_ptr<float>();
  for (std::int64_t channel = 0; channel < probabilities.size(0); ++channel)
    for (std::int64_t z = 0; z < probabilities.size(1); ++z)
      for (std::int64_t y = 0; y < probabilities.size(2); ++y) {
        float* const row = values + channel * voxels + grid.row(first + z, y);
        for (std::int64_t x = 0; x < probabilities.size(3); ++x) row[x * grid.strides[2]] = *from++;
      }
}

}  // namespace

at::Tensor probabilities_from_logits(const at::Tensor& logits, const Dataset& dataset, const PreparedCase& prepared) {
  const auto [depth, height, width] = prepared.original.shape;
  const std::int64_t channels = output_channels(dataset);
  at::Tensor result = at::empty({channels, depth, height, width}, at::kFloat);
  for (std::int64_t k = 0; k < channels; ++k) result[k].fill_(outside_value(dataset, k));
  const FileGrid grid(prepared);
  CroppedLogits cropped(prepared, channels, [&](std::int64_t first, const at::Tensor& slab) {
    put_probabilities(first, slab, dataset.region_based, grid, depth * height * width,
                      result.mutable_data_ptr<float>());
  });
  cropped.add(0, logits);
  return result;
}

ProbabilityFile::ProbabilityFile(const std::filesystem::path& file, const Dataset& dataset,
                                 const PreparedCase& prepared)
    : file_(file), dataset_(dataset), prepared_(prepared), grid_(prepared) {
  write_outside();
  map();
}

/// Written through rather than into the mapping: a full disk is then an error instead of a signal.
void ProbabilityFile::write_outside() {
  std::ofstream stream(file_, std::ios::binary | std::ios::trunc);
  const Shape3& shape = prepared_.original.shape;
  const std::string header = npy_header(output_channels(dataset_), shape);
  header_bytes_ = std::ssize(header);
  stream << header;
  std::vector<float> plane(static_cast<std::size_t>(shape[1] * shape[2]));
  for (std::int64_t channel = 0; channel < output_channels(dataset_); ++channel) {
    std::fill(plane.begin(), plane.end(), outside_value(dataset_, channel));
    for (std::int64_t z = 0; z < shape[0]; ++z)
      stream.write(reinterpret_cast<const char*>(plane.data()),
                   static_cast<std::streamsize>(plane.size() * sizeof(float)));
  }
  bytes_ = static_cast<std::size_t>(stream.tellp());
  stream.close();
  if (!stream.good()) throw RunError(file_.string() + ": the probabilities cannot be written; is the disk full?");
}

void ProbabilityFile::map() {
  const int descriptor = open(file_.c_str(), O_RDWR | O_CLOEXEC);
  void* mapping = descriptor < 0 ? MAP_FAILED : mmap(nullptr, bytes_, PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (descriptor >= 0) ::close(descriptor);
  if (mapping == MAP_FAILED) throw RunError(file_.string() + ": the probabilities cannot be written into it");
  mapping_ = mapping;
}

ProbabilityFile::~ProbabilityFile() {
  if (mapping_) munmap(mapping_, bytes_);
}

void ProbabilityFile::add(std::int64_t first, const at::Tensor& logits) {
  put_probabilities(first, logits, dataset_.region_based, grid_, voxel_count(prepared_.original.shape),
                    reinterpret_cast<float*>(static_cast<char*>(mapping_) + header_bytes_));
}

void ProbabilityFile::close() {
  const bool written = msync(mapping_, bytes_, MS_SYNC) == 0;
  munmap(std::exchange(mapping_, nullptr), bytes_);
  if (!written) throw RunError(file_.string() + ": the probabilities cannot be written to their end");
}

ProbabilityReader::ProbabilityReader(const std::filesystem::path& file) : file_(file), stream_(file, std::ios::binary) {
  std::string header(kMagic.size() + 2, '\0');
  stream_.read(header.data(), std::ssize(header));
  const auto length = static_cast<std::uint8_t>(header[8]) + 256 * static_cast<std::uint8_t>(header[9]);
  std::string text(static_cast<std::size_t>(length), '\0');
  stream_.read(text.data(), length);
  std::smatch match;
  const std::regex layout(
      R"(\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,9}), (\d{1,9}), (\d{1,9}), (\d{1,9})\), \}\s*)");
  if (!stream_.good() || !header.starts_with(kMagic) || !std::regex_match(text, match, layout))
    throw UserError(file.string() +
                    ": not probabilities as predict --save-probabilities writes them (.npy, float32 [K, D, H, W])");
  header_bytes_ = std::ssize(header) + length;
  channels_ = std::stoll(match[1]);
  for (std::size_t axis = 0; axis < 3; ++axis) shape_[axis] = std::stoll(match[static_cast<int>(axis) + 2]);
  const std::int64_t expected =
      header_bytes_ + plane_position(shape_, channels_, 0) * static_cast<std::int64_t>(sizeof(float));
  if (static_cast<std::int64_t>(std::filesystem::file_size(file)) != expected)
    throw UserError(file.string() + ": has another length than its header says; it was not written to its end");
}

at::Tensor ProbabilityReader::planes(std::int64_t first, std::int64_t count) {
  at::Tensor result = at::empty({channels_, count, shape_[1], shape_[2]}, at::kFloat);
  const std::int64_t values = count * shape_[1] * shape_[2];
  for (std::int64_t channel = 0; channel < channels_; ++channel) {
    stream_.seekg(header_bytes_ + plane_position(shape_, channel, first) * static_cast<std::int64_t>(sizeof(float)));
    stream_.read(reinterpret_cast<char*>(result.mutable_data_ptr<float>() + channel * values),
                 static_cast<std::streamsize>(values * static_cast<std::int64_t>(sizeof(float))));
  }
  if (!stream_.good()) throw UserError(file_.string() + ": cannot be read to its end");
  return result;
}

}  // namespace m3d
