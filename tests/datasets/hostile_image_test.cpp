// Files that lie, break off, or are no files: each is refused with a message, quickly, and without taking much memory.
#include <sys/stat.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "common/random.h"
#include "datasets/images/image.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"
#include "tests/ordinary_user.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kDim = 40, kDatatype = 70, kPixdim = 76, kFirstVoxel = 108, kSformCode = 254, kSform = 280;

/// The bytes of a sound image of 5×4×3 float32 voxels.
std::string sound_image(const TemporaryFolder& folder, const std::string& ending) {
  const fs::path file = folder.path / ("sound" + ending);
  write_image(file, make_image<float>({3, 4, 5}, [](std::int64_t i) { return i * 0.5; }));
  return read_file(file);
}
std::string sound_nifti(const TemporaryFolder& folder) { return sound_image(folder, ".nii"); }

template <class T>
std::string with(std::string bytes, std::size_t offset, std::initializer_list<T> values) {
  std::memcpy(bytes.data() + offset, values.begin(), values.size() * sizeof(T));
  return bytes;
}

std::string error_of_bytes(const TemporaryFolder& folder, const std::string& name, std::string_view bytes) {
  const fs::path file = folder.path / name;
  write_atomically(file, bytes);
  const std::string message = error_of([&] { read_image(file); });
  CHECK_THAT(message, Contains(file.string()));
  CHECK(error_of([&] { read_channels(file); }).empty() == message.empty());
  return message;
}

std::string compressed(const std::string& bytes) {
  std::string result(compressBound(bytes.size()) + 64, '\0');
  z_stream state{};
  deflateInit2(&state, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  state.avail_in = static_cast<uInt>(bytes.size());
  state.next_out = reinterpret_cast<Bytef*>(result.data());
  state.avail_out = static_cast<uInt>(result.size());
  deflate(&state, Z_FINISH);
  result.resize(state.total_out);
  deflateEnd(&state);
  return result;
}

/// The most that this process ever had of address space: what is reserved counts, whether it is written to or not.
std::int64_t peak_bytes() {
  const std::string status = read_file("/proc/self/status"), key = "VmPeak:";
  return std::int64_t{1024} * std::stoll(status.substr(status.find(key) + key.size()));
}

/// What deflate cannot make smaller.
std::string noise(std::size_t bytes) {
  RandomStream random(5, "noise");
  std::string result;
  while (result.size() < bytes) result += static_cast<char>(random.integer(0, 255));
  return result;
}

const float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("impossible sizes are refused before anything is taken for them") {
  const TemporaryFolder folder;
  const std::string sound = sound_nifti(folder);
  using Sizes = std::initializer_list<std::int16_t>;
  for (const Sizes sizes : {Sizes{3, 0, 4, 3}, Sizes{3, 5, -4, 3}, Sizes{7, 32767, 32767, 32767, 32767, 32767, 1, 1}}) {
    CHECK_THAT(error_of_bytes(folder, "x.nii", with(sound, kDim, sizes)), Contains("impossible size"));
  }
  for (const Sizes sizes : {Sizes{0, 5, 4, 3}, Sizes{8, 5, 4, 3}, Sizes{-1, 5, 4, 3}})
    CHECK_THAT(error_of_bytes(folder, "x.nii", with(sound, kDim, sizes)), Contains("axes"));
  CHECK_THAT(error_of_bytes(folder, "x.nii", with(sound, kDim, Sizes{1, 60, 1, 1})), Contains("one axis"));
}

TEST_CASE("a header that claims more voxels than there are gets no memory for them") {
  const TemporaryFolder folder;
  const std::string sound = sound_nifti(folder);
  // 32767³ float32 voxels: 128 TiB. 2000×2000×600 int16: 4.5 GiB, which deflate's gain would let a file of 5 MB hold.
  const std::string huge = with<std::int16_t>(sound, kDim, {3, 32767, 32767, 32767});
  std::string large = with<std::int16_t>(sound, kDim, {3, 2000, 2000, 600});
  large = with<std::int16_t>(large, kDatatype, {4, 16});
  CHECK_THAT(error_of_bytes(folder, "x.nii", huge), Contains("truncated"));
  CHECK_THAT(error_of_bytes(folder, "x.nii.gz", compressed(huge)), Contains("truncated"));
  const std::int64_t before = peak_bytes();
  const std::string file = compressed(large + noise(5'000'000));
  REQUIRE(file.size() > std::size_t{4'800'000'000} / 1032);  // else its size alone would give the header away
  CHECK_THAT(error_of_bytes(folder, "x.nii.gz", file), Contains("truncated"));
  CHECK_THAT(error_of([&] { read_labels(folder.path / "x.nii.gz"); }), Contains("truncated"));
  CHECK(peak_bytes() - before < 2'000'000'000);
}

TEST_CASE("sizes that overflow are refused, whatever they come to") {
  const TemporaryFolder folder;
  const fs::path sound = fs::path(M3D_SOURCE_DIR) / "tests" / "data" / "headers" / "nifti2_big_endian.nii";
  const std::string bytes = read_file(sound);
  const std::string two_to_33("\0\0\0\2\0\0\0\0", 8);
  std::string wide = bytes;
  wide.replace(24, 8, two_to_33);  // the first size of NIfTI-2, 64 bits
  CHECK_THAT(error_of_bytes(folder, "x.nii", wide), Contains("impossible size"));
  CHECK_THAT(error_of_bytes(folder, "x.nii", bytes.substr(0, 400)), Contains("cut off within its header"));
  const std::string fields = "BinaryData = True\nElementType = MET_DOUBLE\nNDims = 3\n";
  // 2⁶⁴ bytes and a little more: few, as 64 bits hold it.
  CHECK_THAT(error_of_bytes(folder, "x.mha", fields + "DimSize = 2147483647 1073741825 1\nElementDataFile = LOCAL\n"),
             Contains("impossible size"));
}

TEST_CASE("a file of another format than its name says is refused") {
  const TemporaryFolder folder;
  const std::string nrrd = sound_image(folder, ".nrrd"), gipl = sound_image(folder, ".gipl");
  CHECK_THAT(error_of_bytes(folder, "x.nrrd", with<char>(nrrd, 0, {'X'})), Contains("does not begin with \"NRRD000\""));
  CHECK_THAT(error_of_bytes(folder, "x.gipl", with<char>(gipl, 252, {'n', 'o', 'p', 'e'})),
             Contains("not a GIPL image"));
  std::string text = "# of another program\n";
  text += sound_image(folder, ".mha");
  CHECK_THAT(error_of_bytes(folder, "x.mha", text), Contains("not a MetaImage header"));
}

TEST_CASE("spacings that are not above 0, and axes that span nothing, are refused") {
  const TemporaryFolder folder;
  const std::string sound = sound_nifti(folder);
  for (const float bad : {0.F, -1.F, kNan, std::numeric_limits<float>::infinity()})
    CHECK_THAT(error_of_bytes(folder, "x.nii", with<float>(sound, kPixdim + 8, {bad})), Contains("spacing"));
  for (const float bad : {0.F, kNan}) {
    std::string bytes = with<std::int16_t>(sound, kSformCode - 2, {0, 1});
    CHECK_THAT(error_of_bytes(folder, "x.nii", with<float>(bytes, kSform, {bad, bad, bad})), Contains("singular"));
  }
}

TEST_CASE("a flat image whose axes leave its plane is refused") {
  const TemporaryFolder folder;
  const std::string flat = with<std::int16_t>(sound_nifti(folder), kDim, {2, 5, 12, 1});
  write_atomically(folder.path / "flat.nii", std::string_view(flat));
  CHECK(read_image(folder.path / "flat.nii").shape() == Shape3{1, 12, 5});
  std::string bytes = with<std::int16_t>(flat, kSformCode - 2, {0, 1});
  bytes = with<float>(bytes, kSform, {0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0});  // x goes along the third axis
  CHECK_THAT(error_of_bytes(folder, "x.nii", bytes), Contains("singular"));
}

TEST_CASE("GIPL: spacings and sizes that cannot be are refused") {
  const TemporaryFolder folder;
  const std::string sound = sound_image(folder, ".gipl");
  for (const char* bad : {"\0\0\0\0", "\xbf\x80\0\0", "\x7f\xc0\0\0"})  // 0, -1 and NaN, big-endian
    CHECK_THAT(error_of_bytes(folder, "x.gipl", std::string(sound).replace(14, 4, bad, 4)), Contains("spacing"));
  CHECK_THAT(error_of_bytes(folder, "x.gipl", std::string(sound).replace(0, 2, "\0\0", 2)), Contains("impossible"));
  CHECK_THAT(error_of_bytes(folder, "x.gipl", std::string(sound).replace(0, 6, 6, '\xff')), Contains("truncated"));
  CHECK_THAT(error_of_bytes(folder, "x.gipl", std::string(sound).replace(8, 2, "\0\x09", 2)), Contains("type 9"));
}

TEST_CASE("a series of many volumes is no image with channels") {
  const TemporaryFolder folder;
  const std::string bytes = with<std::int16_t>(sound_nifti(folder), kDim, {4, 1, 1, 1, 2000}) + std::string(8000, '\0');
  write_atomically(folder.path / "x.nii", std::string_view(bytes));
  CHECK_THAT(error_of([&] { read_channels(folder.path / "x.nii"); }), Contains("has 2000 channels"));
}

TEST_CASE("voxels of unreadable kinds and in impossible places are refused") {
  const TemporaryFolder folder;
  const std::string sound = sound_nifti(folder);
  for (const std::int16_t kind : {0, 1, 32, 128, 1536, 2304, 9999})
    CHECK_THAT(error_of_bytes(folder, "x.nii", with<std::int16_t>(sound, kDatatype, {kind})), Contains("datatype"));
  for (const float place : {-1.F, kNan, 1e30F})
    CHECK_THAT(error_of_bytes(folder, "x.nii", with<float>(sound, kFirstVoxel, {place})), Contains("damaged header"));
  CHECK_THAT(error_of_bytes(folder, "x.nii", with<float>(sound, kFirstVoxel, {1e6F})), Contains("truncated"));
  CHECK_THAT(error_of_bytes(folder, "x.nii", with<char>(sound, 344, {'x'})), Contains("Analyze 7.5"));
  CHECK_THAT(error_of_bytes(folder, "x.nii", with<char>(sound, 345, {'i'})), Contains(".img"));
  CHECK_THAT(error_of_bytes(folder, "x.nii", "\x1f\x8b" + sound), Contains("damaged"));
}

TEST_CASE("labels beyond 16 bits are refused") {
  const TemporaryFolder folder;
  auto image = make_image<float>({3, 4, 5}, [](std::int64_t) { return 0; });
  for (const float bad : {32768.F, -32769.F, 1e9F, 0.5F}) {
    image.voxels[33] = bad;
    write_image(folder.path / "x.nii", image);
    CHECK_THAT(error_of([&] { read_labels(folder.path / "x.nii"); }), Contains("whole number"));
  }
  image.voxels[33] = -32768;
  write_image(folder.path / "x.nii", image);
  CHECK(read_labels(folder.path / "x.nii").voxels[33] == -32768);
}

TEST_CASE("what is no regular file is refused and never waited for") {
  const TemporaryFolder folder;
  const auto error = [&](const char* name) { return error_of([&] { read_image(folder.path / name); }); };
  CHECK_THAT(error("none.nii"), Contains("no such file"));
  fs::create_directory(folder.path / "folder.nii.gz");
  CHECK_THAT(error("folder.nii.gz"), Contains("no DICOM files"));
  REQUIRE(mkfifo((folder.path / "pipe.nii").c_str(), 0600) == 0);
  CHECK_THAT(error("pipe.nii"), Contains("not a regular file"));
  fs::create_symlink("/dev/zero", folder.path / "device.nii");
  CHECK_THAT(error("device.nii"), Contains("not a regular file"));
  fs::create_symlink("loop.nii", folder.path / "loop.nii");
  CHECK_THAT(error("loop.nii"), Contains("in a circle"));
  fs::create_symlink("nowhere.nii", folder.path / "dangling.nii");
  CHECK_THAT(error("dangling.nii"), Contains("no such file"));
  write_atomically(folder.path / "empty.nii", std::string_view());
  CHECK_THAT(error("empty.nii"), Contains("empty"));
}

TEST_CASE("files that may not be read are named") {
  const TemporaryFolder folder;
  sound_nifti(folder);
  fs::permissions(folder.path / "sound.nii", fs::perms::none);
  const auto message = [&] {
    const OrdinaryUser user;
    return error_of([&] { read_image(folder.path / "sound.nii"); });
  };
  CHECK_THAT(message(), Contains("sound.nii: permission denied"));
}

TEST_CASE("MetaImage and NRRD: each broken field is named") {
  const TemporaryFolder folder;
  const std::string voxels(60, '\x01');
  const auto mha = [&](const std::string& fields) {
    return error_of_bytes(folder, "x.mha", "ObjectType = Image\n" + fields + "ElementDataFile = LOCAL\n" + voxels);
  };
  const std::string kind = "BinaryData = True\nElementType = MET_UCHAR\n", three = "NDims = 3\n",
                    sizes = "DimSize = 5 4 3\n";
  CHECK_THAT(mha(kind + three), Contains("\"DimSize\""));
  CHECK_THAT(mha(kind + "NDims = 9\n" + sizes), Contains("\"NDims\""));
  CHECK_THAT(mha(kind + three + "DimSize = 5 4\n"), Contains("\"DimSize\""));
  CHECK_THAT(mha(kind + three + "DimSize = 5 4 -3\n"), Contains("\"DimSize\""));
  CHECK_THAT(mha(kind + three + "DimSize = 5 4 2000000000\n"), Contains("truncated"));
  CHECK_THAT(mha(kind + three + "DimSize = 2000000000 2000000000 2000000000\n"), Contains("impossible size"));
  CHECK_THAT(mha(kind + three + sizes + sizes), Contains("twice"));
  CHECK_THAT(mha(kind + three + sizes + "ElementSpacing = 1 0 1\n"), Contains("spacing"));
  CHECK_THAT(mha(kind + three + sizes + "ElementSpacing = 1 -1 1\n"), Contains("spacing"));
  CHECK_THAT(mha(kind + three + sizes + "ElementSpacing = 1 nan 1\n"), Contains("spacing"));
  CHECK_THAT(mha(kind + three + sizes + "Offset = 1 inf 1\n"), Contains("origin"));
  CHECK_THAT(mha(kind + three + sizes + "TransformMatrix = 1 0 0 0 1 0 0 0 0\n"), Contains("right angles"));
  CHECK_THAT(mha(kind + three + sizes + "TransformMatrix = 1e300 0 0 0 1e300 0 0 0 1e300\n"), Contains("right angles"));
  CHECK_THAT(mha(kind + three + sizes + "TransformMatrix = nan 0 0 0 1 0 0 0 1\n"), Contains("right angles"));
  CHECK_THAT(mha(kind + three + sizes + "ElementNumberOfChannels = 3\n"), Contains("one value a voxel"));
  CHECK_THAT(mha(kind + three + sizes + "CompressedData = True\n"), Contains("damaged"));
  CHECK_THAT(mha("ElementType = MET_UCHAR\n" + three + sizes), Contains("\"BinaryData\""));
  CHECK_THAT(mha("BinaryData = True\nElementType = MET_STRING\n" + three + sizes), Contains("\"ElementType\""));
  CHECK_THAT(mha(kind + three + sizes + "Comment = " + std::string(5000, 'x') + "\n"), Contains("not text"));
  for (const char* name : {"../x.raw", "/etc/passwd", "LIST", "slice%03d.raw 1 3 1", ".."})
    CHECK_THAT(error_of_bytes(folder, "x.mhd", kind + three + sizes + "ElementDataFile = " + name + "\n"),
               Contains("plain name of one file"));
  CHECK_THAT(error_of_bytes(folder, "x.mhd", kind + three + sizes), Contains("ElementDataFile"));
  CHECK_THAT(error_of_bytes(folder, "x.mha", voxels), Contains("not text"));

  const auto nrrd = [&](const std::string& fields) {
    return error_of_bytes(folder, "x.nrrd", "NRRD0004\ntype: uchar\nencoding: raw\n" + fields + "\n" + voxels);
  };
  const std::string shape = "dimension: 3\nsizes: 5 4 3\n";
  CHECK_THAT(nrrd("dimension: 17\nsizes: 5 4 3\n"), Contains("\"dimension\""));
  CHECK_THAT(nrrd("dimension: 3\nsizes: 5 4\n"), Contains("\"sizes\""));
  CHECK_THAT(nrrd("dimension: 3\nsizes: 5 4 300\n"), Contains("truncated"));
  CHECK_THAT(nrrd(shape + "spacings: 1 -1 1\n"), Contains("spacing"));
  CHECK_THAT(nrrd(shape + "space: ras\nspace directions: (1,0,0) (0,1,0)\n"), Contains("\"spacedirections\""));
  CHECK_THAT(nrrd(shape + "space: ras\nspace directions: (1,0,0) (0,1,0) (0,0,0)\n"), Contains("spacing"));
  CHECK_THAT(nrrd(shape + "space: ras\nspace directions: (1,0,0) (0,1,0) (0,1,0)\n"), Contains("right angles"));
  CHECK_THAT(nrrd(shape + "kinds: vector domain domain\n"), Contains("\"kinds\""));
  CHECK_THAT(nrrd(shape + "data file: ../../x.raw\n"), Contains("plain name"));
  CHECK_THAT(nrrd(shape + "byte skip: -7\n"), Contains("\"byteskip\""));
  CHECK_THAT(nrrd(shape + "nonsense\n"), Contains("not an NRRD header"));
  CHECK_THAT(error_of_bytes(folder, "x.nrrd", "NRRD0004\ntype: uchar\nencoding: bzip2\n" + shape + "\n" + voxels),
             Contains("\"encoding\""));
  CHECK_THAT(error_of_bytes(folder, "x.gipl", voxels), Contains("not a GIPL image"));
}
