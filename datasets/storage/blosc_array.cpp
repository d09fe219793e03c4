#include "datasets/storage/blosc_array.h"

#include <b2nd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "common/error.h"

namespace m3d {
namespace {

/// Global state of the library lives as long as the program.
void start_library() {
  static const bool started = [] {
    blosc2_init();
    return true;
  }();
  static_cast<void>(started);
}

struct ArrayCloser {
  void operator()(b2nd_array_t* array) const { b2nd_free(array); }
};
using ArrayPointer = std::unique_ptr<b2nd_array_t, ArrayCloser>;
struct ContextCloser {
  void operator()(b2nd_context_t* context) const { b2nd_free_ctx(context); }
};

void require(int code, const std::filesystem::path& file, const char* what) {
  if (code < 0) throw RunError(file.string() + ": cannot " + what + " (Blosc2: " + print_error(code) + ")");
}

/// What an array's values are. Of shapes and layouts the last `axes` count.
struct ValueType {
  const char* name;  // numpy's
  int bytes;
  std::int8_t axes = 4;
};

/// Compresses values into a file, or into memory where `file` is empty.
ArrayPointer compressed(const std::filesystem::path& file, const void* values, std::int64_t bytes,
                        const ValueType& type, const Shape4& shape, const BloscLayout& layout, bool shuffled) {
  start_library();
  blosc2_cparams parameters = BLOSC2_CPARAMS_DEFAULTS;
  parameters.compcode = BLOSC_LZ4;
  parameters.clevel = 5;
  parameters.typesize = type.bytes;
  parameters.nthreads = 1;
  std::fill(std::begin(parameters.filters), std::end(parameters.filters), std::uint8_t{0});
  parameters.filters[BLOSC2_MAX_FILTERS - 1] = shuffled ? BLOSC_SHUFFLE : BLOSC_NOFILTER;
  blosc2_dparams reading = BLOSC2_DPARAMS_DEFAULTS;
  std::string path = file.string();
  blosc2_storage storage = BLOSC2_STORAGE_DEFAULTS;
  storage.contiguous = true;
  storage.urlpath = path.empty() ? nullptr : path.data();
  storage.cparams = &parameters;
  storage.dparams = &reading;
  std::array<std::int32_t, 4> chunk{}, block{};
  for (std::size_t axis = 0; axis < 4; ++axis) {
    chunk[axis] = static_cast<std::int32_t>(layout.chunk[axis]);
    block[axis] = static_cast<std::int32_t>(layout.block[axis]);
  }
  const auto skipped = static_cast<std::size_t>(4 - type.axes);
  const std::unique_ptr<b2nd_context_t, ContextCloser> context(
      b2nd_create_ctx(&storage, type.axes, shape.data() + skipped, chunk.data() + skipped, block.data() + skipped,
                      type.name, DTYPE_NUMPY_FORMAT, nullptr, 0));
  b2nd_array_t* array = nullptr;
  if (!context) throw RunError(path + ": cannot write it (Blosc2: no context)");
  const int code = b2nd_from_cbuffer(context.get(), &array, values, bytes);
  ArrayPointer owner(array);  // there may be one also where it could not be filled
  require(code, file, "write it");
  return owner;
}

/// Whether shuffling the bytes makes a chunk from the middle of the array smaller.
template <class T>
bool shuffling_pays(std::span<const T> values, const ValueType& type, const Shape4& shape, const BloscLayout& layout) {
  Shape4 size = layout.chunk, begin{};
  BloscLayout trial = layout;
  for (std::size_t axis = 0; axis < 4; ++axis) {
    size[axis] = std::min(size[axis], shape[axis]);
    begin[axis] = (shape[axis] - size[axis]) / 2;
    trial.block[axis] = std::min(trial.block[axis], size[axis]);
  }
  trial.chunk = size;
  std::vector<T> slab;
  for (std::int64_t c = 0; c < size[0]; ++c)
    for (std::int64_t z = 0; z < size[1]; ++z)
      for (std::int64_t y = 0; y < size[2]; ++y) {
        const auto row = values.begin() +
                         (((begin[0] + c) * shape[1] + begin[1] + z) * shape[2] + begin[2] + y) * shape[3] + begin[3];
        slab.insert(slab.end(), row, row + size[3]);
      }
  const auto bytes = static_cast<std::int64_t>(slab.size() * sizeof(T));
  const auto plain = compressed({}, slab.data(), bytes, type, size, trial, false);
  const auto shuffled = compressed({}, slab.data(), bytes, type, size, trial, true);
  return shuffled->sc->cbytes < plain->sc->cbytes;
}

template <class T>
void write(const std::filesystem::path& file, std::span<const T> values, const ValueType& type, const Shape4& shape,
           const BloscLayout& layout) {
  std::filesystem::remove(file);  // the library appends to what is there
  compressed(file, values.data(), static_cast<std::int64_t>(values.size_bytes()), type, shape, layout,
             shuffling_pays(values, type, shape, layout));
}

/// The length that a frame's header gives (bytes 16 to 23, big-endian); -1 where there is no header.
std::int64_t length_in_header(const std::filesystem::path& file) {
  std::array<unsigned char, 24> header{};
  std::ifstream stream(file, std::ios::binary);
  if (!stream.read(reinterpret_cast<char*>(header.data()), header.size())) return -1;
  if (std::string(header.begin() + 2, header.begin() + 9) != "b2frame") return -1;
  std::int64_t length = 0;
  for (std::size_t i = 16; i < 24; ++i) length = length << 8 | header[i];
  return length;
}

/// Whether the sizes in the file's header are possible and are those of as many chunks as it has: the library divides
/// by them, and readers allocate by them.
bool has_sound_sizes(blosc2_schunk* chunks) {
  std::uint8_t* content = nullptr;
  std::int32_t length = 0;
  if (blosc2_meta_get(chunks, "b2nd", &content, &length) < 0) return false;
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> owner(content, std::free);
  std::int8_t axes = 0;
  std::array<std::int64_t, B2ND_MAX_DIM> shape{};
  std::array<std::int32_t, B2ND_MAX_DIM> chunk{}, block{};
  if (b2nd_deserialize_meta(content, length, &axes, shape.data(), chunk.data(), block.data(), nullptr, nullptr) < 0)
    return false;
  std::int64_t chunk_bytes = chunks->typesize, count = 1;
  for (std::size_t i = 0; i < static_cast<std::size_t>(axes); ++i) {
    if (shape[i] < 1 || block[i] < 1 || chunk[i] < block[i]) return false;
    const std::int64_t blocks = (std::int64_t{chunk[i]} + block[i] - 1) / block[i];
    if (__builtin_mul_overflow(chunk_bytes, blocks * block[i], &chunk_bytes) ||
        __builtin_mul_overflow(count, (shape[i] - 1) / chunk[i] + 1, &count))
      return false;
  }
  return chunk_bytes == chunks->chunksize && count == chunks->nchunks;
}

}  // namespace

void write_blosc(const std::filesystem::path& file, std::span<const float> values, const Shape4& shape,
                 const BloscLayout& layout) {
  write(file, values, {"<f4", 4}, shape, layout);
}
void write_blosc(const std::filesystem::path& file, std::span<const std::int16_t> values, const Shape4& shape,
                 const BloscLayout& layout) {
  write(file, values, {"<i2", 2}, shape, layout);
}
void write_blosc_volume(const std::filesystem::path& file, std::span<const std::uint8_t> values, const Shape4& shape,
                        const BloscLayout& layout) {
  write(file, values, {"|u1", 1, 3}, shape, layout);
}
void write_blosc_volume(const std::filesystem::path& file, std::span<const std::uint16_t> values, const Shape4& shape,
                        const BloscLayout& layout) {
  write(file, values, {"<u2", 2, 3}, shape, layout);
}

struct BloscArray::Handle {
  blosc2_stdio_mmap mapping = blosc2_get_blosc2_stdio_mmap_defaults();
  blosc2_io io{};
  ArrayPointer array;
};

BloscArray::BloscArray(const std::filesystem::path& file) : file_(file), handle_(std::make_unique<Handle>()) {
  start_library();
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) throw RunError(file.string() + ": cannot read it: " + error.message());
  const std::int64_t length = length_in_header(file);
  if (length < 0) throw RunError(file.string() + ": not a .b2nd file");
  if (length != static_cast<std::int64_t>(size))
    throw RunError(file.string() + ": it should have " + std::to_string(length) + " bytes and has " +
                   std::to_string(size) + "; it was cut off or damaged: remove the case's files and prepare it again");
  handle_->io = {BLOSC2_IO_FILESYSTEM_MMAP, "filesystem_mmap", &handle_->mapping};
  blosc2_schunk* chunks = blosc2_schunk_open_udio(file.c_str(), &handle_->io);
  b2nd_array_t* array = nullptr;
  if (chunks == nullptr) throw RunError(file.string() + ": not a readable .b2nd file");
  const int code = has_sound_sizes(chunks) ? b2nd_from_schunk(chunks, &array) : BLOSC2_ERROR_DATA;
  if (code < 0) blosc2_schunk_free(chunks);
  require(code, file, "read it as an array");
  handle_->array.reset(array);
  if (array->ndim != 4 && array->ndim != 3)
    throw RunError(file.string() + ": expected four dimensions (C, z, y, x), or three");
  axes_ = static_cast<std::size_t>(array->ndim);
  shape_[0] = 1;
  std::copy(array->shape, array->shape + axes_, shape_.end() - array->ndim);
  type_ = array->dtype != nullptr ? array->dtype : "";
  if (!type_.ends_with(std::to_string(array->sc->typesize)))
    throw RunError(file.string() + ": its values of the type '" + type_ + "' have " +
                   std::to_string(array->sc->typesize) + " bytes: damaged; prepare the case again");
}

BloscArray::~BloscArray() = default;

void BloscArray::read(const Shape4& begin, const Shape4& size, void* target) const {
  Shape4 end{};
  std::int64_t bytes = handle_->array->sc->typesize;
  for (std::size_t axis = 0; axis < 4; ++axis) end[axis] = begin[axis] + size[axis], bytes *= size[axis];
  const std::size_t skipped = 4 - axes_;
  require(b2nd_get_slice_cbuffer(handle_->array.get(), begin.data() + skipped, end.data() + skipped, target,
                                 size.data() + skipped, bytes),
          file_, "read a part of it");
}

}  // namespace m3d
