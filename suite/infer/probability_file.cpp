#include "suite/infer/probability_file.h"

#include <torch/torch.h>

#include <regex>

#include "common/error.h"
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

}  // namespace

ProbabilityFile::ProbabilityFile(const std::filesystem::path& file, const Dataset& dataset,
                                 const PreparedCase& prepared)
    : file_(file), dataset_(dataset), prepared_(prepared) {
  stream_.open(file, std::ios::binary | std::ios::in | std::ios::out | std::ios::trunc);
  const Shape3& shape = prepared.original.shape;
  const std::string header = npy_header(output_channels(dataset), shape);
  header_bytes_ = std::ssize(header);
  stream_ << header;
  std::vector<float> plane(static_cast<std::size_t>(shape[1] * shape[2]));
  for (std::int64_t channel = 0; channel < output_channels(dataset); ++channel) {
    std::fill(plane.begin(), plane.end(), channel == 0 && !dataset.region_based ? 1.0F : 0.0F);
    for (std::int64_t z = 0; z < shape[0]; ++z)
      stream_.write(reinterpret_cast<const char*>(plane.data()),
                    static_cast<std::streamsize>(plane.size() * sizeof(float)));
  }
  require_good();
}

void ProbabilityFile::require_good() const {
  if (!stream_.good()) throw RunError(file_.string() + ": the probabilities cannot be written; is the disk full?");
}

void ProbabilityFile::add(std::int64_t first, const at::Tensor& logits) {
  const at::Tensor exact = logits.to(at::kCPU, at::kFloat);
  const at::Tensor probabilities = (dataset_.region_based ? at::sigmoid(exact) : at::softmax(exact, 0)).contiguous();
  const float* row = probabilities.const_data_ptr<float>();
  const Shape3 &shape = prepared_.shape, &begin = prepared_.crop_begin, &whole = prepared_.original.shape;
  for (std::int64_t channel = 0; channel < probabilities.size(0); ++channel)
    for (std::int64_t z = 0; z < probabilities.size(1); ++z)
      for (std::int64_t y = 0; y < shape[1]; ++y, row += shape[2]) {
        const std::int64_t position =
            plane_position(whole, channel, first + z + begin[0]) + (y + begin[1]) * whole[2] + begin[2];
        stream_.seekp(header_bytes_ + position * static_cast<std::int64_t>(sizeof(float)));
        stream_.write(reinterpret_cast<const char*>(row),
                      static_cast<std::streamsize>(shape[2] * static_cast<std::int64_t>(sizeof(float))));
      }
  require_good();
}

void ProbabilityFile::close() {
  stream_.close();
  require_good();
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
