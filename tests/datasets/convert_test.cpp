// One test a dataset: from its distribution to nnU-Net v2's raw form.
#include <cstring>
#include <set>

#include "common/atomic_file.h"
#include "datasets/catalogue/convert_dataset.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/images/gzip_file.h"
#include "tests/catch.h"
#include "tests/datasets/download.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::set<int> values_of(const LabelImage& labels) { return {labels.voxels.begin(), labels.voxels.end()}; }

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
