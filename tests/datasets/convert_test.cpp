#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <set>
#include <thread>

#include "common/atomic_file.h"
#include "datasets/catalogue/convert_dataset.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/catalogue/disk_need.h"
#include "datasets/images/gzip_file.h"
#include "datasets/parallel_cases.h"
#include "tests/catch.h"
#include "tests/datasets/download.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> ids_of(const Dataset& dataset) {
  std::vector<std::string> ids;
  for (const auto& files : dataset.training) ids.push_back(files.id);
  return ids;
}

std::set<int> values_of(const LabelImage& labels) { return {labels.voxels.begin(), labels.voxels.end()}; }

LoadedCase first_case(const Dataset& dataset) { return load_case(dataset, dataset.training.front()); }

void add_brats_case(const Download& download, const std::string& id, const std::vector<std::string>& suffixes,
                    const std::string& labels, int enhancing) {
  double offset = 0;
  for (const std::string& suffix : suffixes) download.image(id + "/" + id + suffix + ".nii.gz", offset += 1000);
  const int raw[] = {0, 1, 2, enhancing};
  download.labels(id + "/" + id + labels + ".nii.gz", [&](std::int64_t i) { return raw[i % 4]; });
}

/// A NIfTI file with four axes [x, y, z, channel] on the grid of make_image, voxel i holding i.
void write_4d(const fs::path& file, const std::array<std::int16_t, 4>& size) {
  std::string bytes(352, '\0');
  const auto put = [&](std::size_t at, auto value) { std::memcpy(bytes.data() + at, &value, sizeof value); };
  put(0, std::int32_t{348});
  put(40, std::int16_t{4});
  const float spacing[] = {0.9F, 0.8F, 2, 1};
  const float origin[] = {12.5F, -3, 40};  // RAS
  for (std::size_t axis = 0; axis < 4; ++axis) {
    put(42 + 2 * axis, size[axis]);
    put(80 + 4 * axis, spacing[axis]);
  }
  put(70, std::int16_t{16});  // float32
  put(72, std::int16_t{32});
  put(76, 1.0F);
  put(108, 352.0F);
  put(254, std::int16_t{1});  // sform
  for (std::size_t axis = 0; axis < 3; ++axis) {
    put(280 + 16 * axis + 4 * axis, axis < 2 ? -spacing[axis] : spacing[axis]);
    put(280 + 16 * axis + 12, origin[axis]);
  }
  std::memcpy(bytes.data() + 344, "n+1", 3);
  for (std::int64_t i = 0; i < std::int64_t{size[0]} * size[1] * size[2] * size[3]; ++i) {
    const auto value = static_cast<float>(i);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  const fs::path plain = fs::path(file).replace_extension(".plain");
  write_atomically(plain, std::string_view(bytes));
  gzip_file(plain, file);
  fs::remove(plain);
}

const std::vector<std::string> k2021 = {"_t1", "_t1ce", "_t2", "_flair"};
const std::vector<std::string> k2023 = {"-t1n", "-t1c", "-t2w", "-t2f"};

}  // namespace

TEST_CASE("BraTS 2021: channels are linked in nnU-Net's order, labels renumbered as its converter does") {
  const Download download;
  add_brats_case(download, "BraTS2021_00000", k2021, "_seg", 4);
  add_brats_case(download, "BraTS2021_00002", k2021, "_seg", 4);
  fs::create_directories(download.source / "__MACOSX");
  const Dataset dataset = download.convert("brats21");
  CHECK(dataset.name == "brats21");
  CHECK(dataset.folder == download.root / "Dataset137_BraTS2021");
  CHECK(ids_of(dataset) == std::vector<std::string>{"BraTS2021_00000", "BraTS2021_00002"});
  CHECK(dataset.region_based);
  CHECK(dataset.regions_class_order == std::vector<int>{1, 2, 3});
  CHECK(fs::is_symlink(dataset.training[0].channels[0]));
  CHECK_FALSE(fs::is_symlink(dataset.training[0].labels));
  const LoadedCase loaded = first_case(dataset);
  CHECK(loaded.channels.size() == 4);
  CHECK(loaded.channels[3].voxels[7] == 4007);
  CHECK(std::vector<int>(loaded.labels.voxels.begin(), loaded.labels.voxels.begin() + 4) ==
        std::vector<int>{0, 2, 1, 3});
  const Json json = read_json(dataset.folder / "dataset.json");
  CHECK(json["numTraining"] == 2);
  CHECK(json["channel_names"]["1"] == "T1ce");
  CHECK(json["file_ending"] == ".nii.gz");
  CHECK(open_dataset("brats21", {download.root, {}}).training.size() == 2);
}

TEST_CASE("BraTS 2023: labels stay as they are") {
  const Download download;
  add_brats_case(download, "BraTS-GLI-00000-000", k2023, "-seg", 3);
  const Dataset dataset = download.convert("brats23");
  CHECK(fs::is_symlink(dataset.training[0].labels));
  CHECK(values_of(first_case(dataset).labels) == std::set<int>{0, 1, 2, 3});
  CHECK(dataset.classes[1].values == std::vector<int>{1, 3});
}

TEST_CASE("TotalSegmentator: masks become one map, later ids win, absent masks are empty") {
  const Download download;
  add_subjects(download, 5);
  const ConversionOutlook outlook = look_at_conversion(download.request("totalseg_mri"));
  REQUIRE(outlook.warnings.size() == 2);
  CHECK_THAT(outlook.warnings[0], Contains("5 of 616"));
  CHECK_THAT(outlook.warnings[1], Contains("47") || Contains("46 other classes"));
  CHECK(outlook.training == 5);
  CHECK_FALSE(fs::exists(download.root));  // looking writes nothing
  const Dataset dataset = download.convert("totalseg_mri");
  CHECK(dataset.name == "totalseg_mri");
  CHECK(dataset.classes.size() == 50);
  CHECK(dataset.groups.at("muscles").back() == "brain");
  const LoadedCase loaded = first_case(dataset);
  CHECK(loaded.labels.voxels[0] == 1);
  CHECK(loaded.labels.voxels[5] == 5);  // spleen 1 and liver 5
  CHECK(loaded.labels.voxels[20] == 50);
  CHECK(values_of(loaded.labels) == std::set<int>{0, 1, 5, 50});
  CHECK_FALSE(fs::exists(dataset.folder / "splits_final.json"));
  CHECK(split_of(dataset, 0).name == "nnunet");
  CHECK(read_json(dataset.folder / "dataset.json")["overwrite_image_reader_writer"] == "NibabelIOWithReorient");
}

TEST_CASE("TotalSegmentator: the alphabetical order and a group alone number their own classes") {
  const Download download;
  add_subjects(download, 1);
  const Dataset alphabetical = download.convert("totalseg_mri:label_order=alphabetical");
  CHECK(alphabetical.name == "totalseg_mri-alphabetical");
  CHECK(values_of(first_case(alphabetical).labels) == std::set<int>{0, 6, 36, 47});
  CHECK(first_case(alphabetical).labels.voxels[5] == 47);  // liver 36, spleen 47: the later id wins
  const Dataset muscles = download.convert("totalseg_mri:group=muscles");
  CHECK(muscles.classes.size() == 21);
  CHECK(values_of(first_case(muscles).labels) == std::set<int>{0, 21});
  const Download ct;
  add_subjects(ct, 1, "ct");
  CHECK(values_of(first_case(ct.convert("totalseg_ct:version=v1,group=cardiac")).labels) == std::set<int>{0, 9});
  CHECK(open_dataset("totalseg_ct:group=cardiac,version=v1", {ct.root, {}}).name == "totalseg_ct-v1-cardiac");
  CHECK(open_dataset("253", {ct.root, {}}).name == "totalseg_ct-v1-cardiac");
}

TEST_CASE("TotalSegmentator: meta.csv says which subjects train, validate and test") {
  const Download download;
  add_subjects(download, 5);
  download.text(
      "meta.csv",
      "image_id;age;split\r\ns0001;5;train\r\ns0002;6;val\r\ns0003;7;train\r\ns0004;8;test\r\ns0009;1;test\r\n");
  const ConversionOutlook outlook = look_at_conversion(download.request("totalseg_mri"));
  CHECK(outlook.training == 4);
  CHECK(outlook.test == 1);
  CHECK_THAT(outlook.warnings.at(0), Contains("1 subjects are not in meta.csv") || Contains("5 of 5"));
  const Dataset dataset = download.convert("totalseg_mri");
  CHECK(ids_of(dataset) == std::vector<std::string>{"s0001", "s0002", "s0003", "s0005"});
  CHECK(fs::exists(dataset.folder / "imagesTs" / "s0004_0000.nii.gz"));
  CHECK(fs::exists(dataset.folder / "labelsTs" / "s0004.nii.gz"));
  const Split split = split_of(dataset, 0);
  CHECK(split.name == "splits_final.json");
  CHECK(split.training == std::vector<std::string>{"s0001", "s0003", "s0005"});
  CHECK(split.validation == std::vector<std::string>{"s0002"});
  CHECK_THAT(error_of([&] { split_of(dataset, 1); }), Contains("folds 0 to 0"));

  download.text("meta.csv", "image_id;split\ns0001;train\ns0001;val\n");
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("meta.csv:3") && Contains("there twice"));
  download.text("meta.csv", "image_id;split\n../s0001;train\n");
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("meta.csv:2") && Contains("cannot be a file name"));
  download.text("meta.csv", "image_id;split\ns0001;training\n");
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("expected train, val or test"));
  download.text("meta.csv", "image;split\ns0001;train\n");
  CHECK_THAT(download.refusal("totalseg_mri"), Contains("no column 'image_id'"));
}

TEST_CASE("fewer than five cases are converted, and their folds point at --fold everything") {
  const Download download;
  add_subjects(download, 3);
  const Dataset dataset = download.convert("totalseg_mri");
  CHECK_THAT(error_of([&] { split_of(dataset, 0); }), Contains("--fold everything"));
  CHECK(split_of(dataset, -1).training.size() == 3);
}

TEST_CASE("AMOS: CT cases by their number, validation cases train too") {
  const Download download;
  const auto label = [](std::int64_t i) { return i % 16; };
  for (const char* id : {"amos_0001", "amos_0410", "amos_0507"}) {
    download.image("imagesTr/" + std::string(id) + ".nii.gz");
    download.labels("labelsTr/" + std::string(id) + ".nii.gz", label);
  }
  for (const char* id : {"amos_0008", "amos_0592"}) {
    download.image("imagesVa/" + std::string(id) + ".nii.gz");
    download.labels("labelsVa/" + std::string(id) + ".nii.gz", label);
  }
  download.image("imagesTs/amos_0500.nii.gz");
  Json json = {{"modality", {{"0", "CT"}}}, {"labels", Json::object()}};
  const Json known = dataset_descriptor("amos22")["labels"];
  for (const auto& [name, value] : known.items()) json["labels"][value.dump()] = name;
  const auto entry = [](const std::string& folder, const std::string& id) {
    return Json{{"image", "./images" + folder + "/" + id + ".nii.gz"},
                {"label", "./labels" + folder + "/" + id + ".nii.gz"}};
  };
  json["training"] = {entry("Tr", "amos_0001"), entry("Tr", "amos_0410"), entry("Tr", "amos_0507")};
  json["validation"] = {entry("Va", "amos_0008"), entry("Va", "amos_0592")};
  json["test"] = Json::array({Json{{"image", "./imagesTs/amos_0500.nii.gz"}}});
  download.text("dataset.json", json.dump());
  CHECK_FALSE(is_raw_folder(download.source));

  const Dataset ct = download.convert("amos22_ct"), both = download.convert("219");
  CHECK(ids_of(ct) == std::vector<std::string>{"amos_0001", "amos_0008", "amos_0410"});
  CHECK(ct.channel_names == std::vector<std::string>{"CT"});
  CHECK(fs::exists(ct.folder / "imagesTs" / "amos_0500_0000.nii.gz"));
  CHECK(both.name == "amos22");
  CHECK(both.training.size() == 5);
  CHECK(both.classes.at(7).name == "arota");
  CHECK(first_case(both).labels.voxels[15] == 15);

  json["validation"].push_back(entry("Tr", "amos_0001"));
  download.text("dataset.json", json.dump());
  fs::remove_all(download.root);
  fs::copy(download.source / "imagesTr", download.source / "imagesVa",
           fs::copy_options::skip_existing | fs::copy_options::recursive);
  fs::copy(download.source / "labelsTr", download.source / "labelsVa",
           fs::copy_options::skip_existing | fs::copy_options::recursive);
  CHECK_THAT(download.refusal("amos22"), Contains("case 'amos_0001' twice"));
  json["validation"] = Json::array({entry("Va", "..")});
  download.text("dataset.json", json.dump());
  CHECK_THAT(download.refusal("amos22"), Contains("cannot be a file name"));
  download.text("dataset.json", "{}");
  CHECK_THAT(download.refusal("amos22"), Contains("no list 'training'") && Contains("expected:"));
}

TEST_CASE("Decathlon: the channels of a 4D file become a file each") {
  const Download download;
  for (const char* id : {"BRATS_001", "BRATS_002"}) {
    write_4d(download.source / "imagesTr" / (std::string(id) + ".nii.gz"), {6, 5, 4, 4});
    download.labels("labelsTr/" + std::string(id) + ".nii.gz", [](std::int64_t i) { return i % 4; });
    download.text("imagesTr/._" + std::string(id) + ".nii.gz", "of another system's archive");
  }
  write_4d(download.source / "imagesTs" / "BRATS_485.nii.gz", {6, 5, 4, 4});
  download.text("dataset.json", R"({"name": "BRATS", "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}, "training": []})");
  CHECK_FALSE(is_raw_folder(download.source));
  CHECK(look_at_conversion(download.request("msd_braintumour")).warnings.empty());
  const Dataset dataset = download.convert("msd_braintumour");
  CHECK(dataset.folder.filename() == "Dataset001_BrainTumour");
  CHECK(ids_of(dataset) == std::vector<std::string>{"BRATS_001", "BRATS_002"});
  CHECK(fs::exists(dataset.folder / "imagesTs" / "BRATS_485_0003.nii.gz"));
  const LoadedCase loaded = first_case(dataset);
  REQUIRE(loaded.channels.size() == 4);
  for (std::size_t c = 0; c < 4; ++c) {
    CHECK(loaded.channels[c].shape() == Shape3{4, 5, 6});
    CHECK(loaded.channels[c].voxels[9] == static_cast<float>(c * 120 + 9));
  }
  write_4d(download.source / "imagesTr" / "BRATS_001.nii.gz", {6, 5, 4, 3});
  fs::remove_all(download.root);
  CHECK_THAT(download.refusal("msd_braintumour"),
             Contains("BRATS_001.nii.gz: expected 4 channels") && Contains("found 3"));
}

TEST_CASE("ACDC: frames of training are cases, the cine is not") {
  const Download download;
  for (int patient = 1; patient <= 5; ++patient) {
    const std::string id = "patient00" + std::to_string(patient), folder = "training/" + id + "/" + id;
    for (const char* frame : {"_frame01", "_frame12"}) {
      download.image(folder + frame + ".nii.gz");
      download.labels(folder + frame + "_gt.nii.gz", [](std::int64_t i) { return i % 4; });
    }
    download.text(folder + "_4d.nii.gz", "not looked at");
    download.text("training/" + id + "/Info.cfg", "ED: 1\n");
  }
  download.image("testing/patient101/patient101_frame01.nii.gz");
  const Dataset dataset = download.convert("acdc");
  CHECK(dataset.training.size() == 10);
  CHECK(dataset.training[1].id == "patient001_frame12");
  CHECK(fs::exists(dataset.folder / "imagesTs" / "patient101_frame01_0000.nii.gz"));
  CHECK(values_of(first_case(dataset).labels) == std::set<int>{0, 1, 2, 3});
  const Split split = split_of(dataset, 0);
  CHECK(split.name == "patients");
  CHECK(split.validation.size() == 2);

  fs::remove(download.source / "training" / "patient003" / "patient003_frame12_gt.nii.gz");
  CHECK_THAT(download.refusal("acdc"), Contains("lacks 1 files: training/patient003/patient003_frame12_gt.nii.gz"));
}

TEST_CASE("Synapse, AIIB 2023 and CRC-500: a folder of images and one of labels") {
  const auto zero_or_one = [](std::int64_t i) { return i % 2; };
  const Download synapse;
  for (const char* number : {"0001", "0021"}) {
    synapse.image("RawData/Training/img/img" + std::string(number) + ".nii.gz");
    synapse.labels("RawData/Training/label/label" + std::string(number) + ".nii.gz",
                   [](std::int64_t i) { return i % 14; });
  }
  const Dataset btcv = synapse.convert("synapse");
  CHECK(ids_of(btcv) == std::vector<std::string>{"img0001", "img0021"});
  CHECK(btcv.groups.at("evaluated_8").size() == 8);
  synapse.image("RawData/Training/img/img0022.nii.gz");
  CHECK_THAT(synapse.refusal("synapse"), Contains("lacks 1 files: RawData/Training/label/label0022.nii.gz"));

  const Download aiib;
  for (const char* id : {"AIIB23_96", "AIIB23_171"}) {
    aiib.image("img/" + std::string(id) + ".nii.gz");
    aiib.labels("gt/" + std::string(id) + ".nii.gz", zero_or_one);
  }
  CHECK(ids_of(aiib.convert("aiib23")) == std::vector<std::string>{"AIIB23_171", "AIIB23_96"});

  const Download crc;
  crc.image("images/case1.nii");  // a plain file is compressed
  crc.labels("labels/case1.nii.gz", zero_or_one);
  const Dataset tumour = crc.convert("crc500");
  CHECK_FALSE(fs::is_symlink(tumour.training[0].channels[0]));
  CHECK(first_case(tumour).channels[0].voxels[7] == 7);
  crc.image("images/case1.nii.gz");
  CHECK_THAT(crc.refusal("crc500"), Contains("case1 twice"));
}

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
  if (geteuid() == 0) return;  // root writes anywhere
  const fs::path locked = download.place.path / "locked";
  fs::create_directory(locked);
  fs::permissions(locked, fs::perms::owner_read | fs::perms::owner_exec);
  request.roots.data_root = locked;
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
  struct rlimit before {};
  getrlimit(RLIMIT_FSIZE, &before);
  std::string message;
  struct rlimit small = before;
  small.rlim_cur = 1000;  // bytes a file; writing more fails as on a full disk
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  try {
    convert_dataset(download.request("brats21"));
  } catch (const RunError& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
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
  const auto huge = std::int64_t{1} << 60;
  CHECK_THAT(error_of([&] {
               require_disk({{folder.path, 10, "converted"}, {folder.path, huge, "preprocessed"}});
             }),
             Contains("not enough disk") && Contains("preprocessed") && Contains("free"));
}
