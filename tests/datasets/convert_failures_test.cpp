// Conversions of what is broken, interrupted, or has no room.
#include <chrono>
#include <thread>

#include "common/atomic_file.h"
#include "datasets/catalogue/convert_dataset.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/catalogue/disk_need.h"
#include "datasets/parallel_cases.h"
#include "tests/catch.h"
#include "tests/datasets/download.h"
#include "tests/full_disk.h"
#include "tests/ordinary_user.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

TEST_CASE("a source that is laid out otherwise is refused with the layout that was expected") {
  const Download download;
  fs::create_directories(download.source / "s0001");
  for (const auto& name : dataset_names()) {
    if (dataset_descriptor(name).value("embedded", false)) continue;
    INFO(name);
    CHECK_THAT(download.refusal(name), Contains("is not laid out as '" + name + "'") && Contains("expected: "));
  }
  CHECK_THAT(download.refusal("phantom_ct"), Contains("has no converter"));
  CHECK_THAT(download.refusal("totalseg_mir"), Contains("did you mean 'totalseg_mri'"));
  CHECK_FALSE(fs::exists(download.root));
}

TEST_CASE("a case that lacks a channel is refused, and nothing is written") {
  const Download download;
  add_brats_case(download, "BraTS2021_00000", k2021, "_seg", 4);
  fs::remove(download.source / "BraTS2021_00000" / "BraTS2021_00000_t2.nii.gz");
  CHECK_THAT(download.refusal("brats21"), Contains("lacks 1 files: BraTS2021_00000/BraTS2021_00000_t2.nii.gz"));
  fs::create_symlink("BraTS2021_00000_t2.nii.gz", download.source / "BraTS2021_00000" / "BraTS2021_00000_t2.nii.gz");
  CHECK_THAT(download.refusal("brats21"), Contains("leads in a circle"));
  CHECK_FALSE(fs::exists(download.root));
}

TEST_CASE("a download with a link in a circle is refused") {
  const Download download;
  add_subjects(download, 2);
  fs::create_symlink("s0003", download.source / "s0003");
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("s0003 is a link that leads in a circle"));
}

TEST_CASE("a mask on another grid is refused, and what was whole stays for the next time") {
  const Download download;
  add_subjects(download, 2);
  auto shifted = make_image<std::int16_t>({4, 5, 6}, [](std::int64_t) { return 1; });
  shifted.geometry.origin_mm[0] += 0.5;
  const fs::path mask = download.source / "s0002" / "segmentations" / "heart.nii.gz";
  write_labels(mask, shifted);
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("heart.nii.gz") && Contains("different geometries"));
  CHECK_THAT(error_of([&] { open_dataset("totalseg_mri", {download.root, {}}); }), Contains("half converted"));
  fs::remove(mask);
  CHECK(download.convert("totalseg_mri").training.size() == 2);
}

TEST_CASE("a download with a case that cannot be a file's name is refused, and nothing is written") {
  const Download download;
  add_brats_case(download, "BraTS2021_0\n", k2021, "_seg", 4);
  CHECK_THAT(download.refusal("brats21"), Contains("cannot be a file name"));
  CHECK_FALSE(fs::exists(download.root));
}

TEST_CASE("labels beyond the dataset's are found after conversion") {
  const Download download;
  add_brats_case(download, "BraTS2021_00000", k2021, "_seg", 7);
  CHECK_THAT(error_of([&] { first_case(download.convert("brats21")); }),
             Contains("label value 7 is not in dataset.json"));
}

TEST_CASE("an interrupted conversion goes on: what is whole is kept, what is missing is made") {
  const Download download;
  add_subjects(download, 3);
  const Dataset dataset = download.convert("totalseg_mri");
  const fs::path kept = dataset.training[0].labels, lost = dataset.training[1].labels;
  const std::string expected = read_file(lost);
  const auto written = fs::last_write_time(kept);
  fs::remove(lost);
  fs::remove(dataset.folder / "dataset.json");
  const fs::path debris = dataset.folder / "labelsTr" / ".tmp.1.s0002.nii.gz";
  write_atomically(debris, std::string_view("half"));
  CHECK_THAT(error_of([&] {
               open_dataset("totalseg_mri", {download.root, {}});
             }),
             Contains("half converted") && Contains("prepare"));
  CHECK(look_at_conversion(download.request("totalseg_mri")).bytes > 0);
  download.convert("totalseg_mri");
  CHECK(read_file(lost) == expected);
  CHECK(fs::last_write_time(kept) == written);
  CHECK_FALSE(fs::exists(debris));
  CHECK(look_at_conversion(download.request("totalseg_mri")).bytes == 0);
}

TEST_CASE("a folder is not converted into from another source, nor by two processes at once") {
  const Download download;
  add_subjects(download, 2);
  const fs::path folder = download.convert("totalseg_mri").folder;
  {
    const FolderLock other(folder);
    CHECK_THAT(download.refusal("totalseg_mri"), Contains("by another process"));
  }
  fs::rename(download.source / "s0002", download.place.path / "s0002");
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("s0002") && Contains("belongs to no case"));
  fs::rename(download.place.path / "s0002", download.source / "s0002");
  fs::copy(download.source, download.place.path / "other", fs::copy_options::recursive);
  ConversionRequest request = download.request("totalseg_mri");
  request.source = download.place.path / "other";
  CHECK_THAT(error_of([&] { convert_dataset(request); }), Contains("with another 'source'"));
  fs::remove(folder / "conversion.json");
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("was not made by this program"));
}

TEST_CASE("a data root that cannot be written is refused") {
  const Download download;
  add_subjects(download, 1);
  write_atomically(download.place.path / "file", std::string_view("no folder"));
  ConversionRequest request = download.request("totalseg_mri");
  request.roots.data_root = download.place.path / "file" / "raw";
  CHECK_THAT(error_of([&] { convert_dataset(request); }), Contains("cannot write to") && Contains("--data-root"));
  const fs::path locked = download.place.path / "locked";
  fs::create_directory(locked);
  fs::permissions(locked, fs::perms{0555});
  request.roots.data_root = locked;
  const OrdinaryUser user;
  CHECK_THAT(error_of([&] { convert_dataset(request); }), Contains("cannot write to") && Contains("--data-root"));
}

TEST_CASE("a disk that fills up leaves no broken file, and the conversion goes on afterwards") {
  const Download download;
  const std::string id = "BraTS2021_00000";
  add_brats_case(download, id, k2021, "_seg", 4);
  std::uint64_t state = 1;
  write_labels(download.source / id / (id + "_seg.nii.gz"), make_image<std::int16_t>({4, 50, 60}, [&](std::int64_t) {
                 state = state * 6364136223846793005U + 1442695040888963407U;
                 return static_cast<double>((state >> 60) % 4 == 3 ? 4 : (state >> 60) % 4);
               }));
  std::string message;
  try {
    const FullDisk full(1000);
    convert_dataset(download.request("brats21"));
  } catch (const RunError& error) {
    message = error.what();
  }
  CHECK_THAT(message, Contains("cannot write") && Contains("is the disk full?"));
  const fs::path folder = download.root / "Dataset137_BraTS2021";
  CHECK_FALSE(fs::exists(folder / "dataset.json"));
  CHECK(fs::is_empty(folder / "labelsTr"));
  CHECK(convert_dataset(download.request("brats21")) == folder);
  CHECK(voxel_count(read_labels(folder / "labelsTr" / (id + ".nii.gz")).shape()) == 12000);
}

TEST_CASE("files are linked or copied as asked") {
  const Download download;
  add_brats_case(download, "BraTS-GLI-00000-000", k2023, "-seg", 3);
  ConversionRequest request = download.request("brats23");
  const auto image = [](const fs::path& folder) { return folder / "imagesTr" / "BraTS-GLI-00000-000_0000.nii.gz"; };
  CHECK(look_at_conversion(request).bytes == 0);
  request.link = LinkMode::hard;
  const fs::path hard = convert_dataset(request);
  CHECK(fs::hard_link_count(image(hard)) == 2);
  request.roots.data_root = download.place.path / "copies";
  request.link = LinkMode::copy;
  CHECK(look_at_conversion(request).bytes > 500);
  const fs::path copied = convert_dataset(request);
  CHECK(fs::hard_link_count(image(copied)) == 1);
  CHECK_FALSE(fs::is_symlink(image(copied)));
  CHECK(read_file(image(copied)) == read_file(image(hard)));
}

TEST_CASE("any number of threads converts to the same files") {
  const Download download;
  add_subjects(download, 7);
  std::vector<std::string> contents;
  for (const int threads : {1, 2, 5}) {
    ConversionRequest request = download.request("totalseg_mri");
    request.roots.data_root = download.place.path / std::to_string(threads);
    request.threads = threads;
    const fs::path folder = convert_dataset(request);
    contents.push_back(read_file(folder / "dataset.json"));
    for (int i = 1; i <= 7; ++i)
      contents.back() += read_file(folder / "labelsTr" / ("s000" + std::to_string(i) + ".nii.gz"));
  }
  CHECK(contents[0] == contents[1]);
  CHECK(contents[0] == contents[2]);
}

TEST_CASE("the failure of the first case that failed is told, whatever the threads") {
  for (const int threads : {1, 4}) {
    const auto failing = [](std::size_t i) {
      if (i % 2 == 1) throw UserError("case " + std::to_string(i));
    };
    CHECK_THAT(error_of([&] { for_each_case(1, threads, "", failing); }), Contains(""));
    CHECK(error_of([&] { for_each_case(2, threads, "", failing); }) == "case 1");
    const auto slowly = [&](std::size_t i) {
      if (i == 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      failing(i);
    };
    CHECK(error_of([&] { for_each_case(8, threads, "", slowly); }) == "case 1");
  }
}

TEST_CASE("the disk that preprocessing takes is estimated from headers, and refused where it is not there") {
  const TemporaryFolder folder;
  std::vector<fs::path> files;
  for (int i = 0; i < 3; ++i) {
    files.push_back(folder.path / (std::to_string(i) + ".nii.gz"));
    auto image = make_image<float>({10, 20, 30}, [](std::int64_t voxel) { return (voxel / 600) < 5 ? 1 : 0; });
    if (i == 2) image.geometry.spacing_mm[0] *= 2;  // twice as long at the median spacing
    write_image(files.back(), image);
  }
  const auto bytes = static_cast<double>(preprocessed_bytes(files, 2));
  CHECK(bytes == Approx(4 * 6000 * 0.5 * (2 * 4 + 2)).epsilon(1e-3));
  CHECK(readable_bytes(1536) == "1.5 KiB");
  CHECK_THAT(require_disk({{folder.path / "not" / "yet", 10, "converted"}}), Contains("converted: up to 10 B in "));
  const auto most = static_cast<std::int64_t>(fs::space(folder.path).available) / 10 * 9;
  CHECK_THAT(error_of([&] {
               require_disk({{folder.path, most, "converted"}, {folder.path, most, "preprocessed"}});
             }),
             Contains("not enough disk: preprocessed data") && Contains("with the others there"));
  const auto huge = std::int64_t{1} << 60;
  CHECK_THAT(error_of([&] {
               require_disk({{folder.path, 10, "converted"}, {folder.path, huge, "preprocessed"}});
             }),
             Contains("not enough disk") && Contains("preprocessed") && Contains("free"));
}
