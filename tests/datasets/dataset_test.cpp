#include "datasets/catalogue/dataset.h"

#include <cstdlib>
#include <thread>

#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

/// A small dataset under a data root, away from the environment's.
struct SmallDataset {
  TemporaryFolder root;
  fs::path folder = write_small_dataset(root.path);
  DataRoots roots{root.path, {}};
  SmallDataset() { unsetenv("nnUNet_raw"), unsetenv("nnUNet_preprocessed"); }
  Dataset open() const { return open_dataset(folder.string(), roots); }
  std::string open_error() const {
    return error_of([&] { open(); });
  }
  void describe_as(const std::string& json) const { write_atomically(folder / "dataset.json", std::string_view(json)); }
};

void load_first(const Dataset& dataset) { load_case(dataset, dataset.training.front()); }

}  // namespace

TEST_CASE("a dataset opens by path, folder name and id") {
  const SmallDataset small;
  for (const std::string& name : {small.folder.string(), std::string("Dataset501_Small"), std::string("501")}) {
    const Dataset dataset = open_dataset(name, small.roots);
    CHECK(dataset.name == "Dataset501_Small");
    CHECK(dataset.training.size() == 6);
    CHECK(dataset.training[2].id == "c");
    CHECK(dataset.classes[1].name == "spleen");
    CHECK(dataset.classes[1].values == std::vector<int>{2});
    CHECK(allowed_label_values(dataset) == std::vector<int>{0, 1, 2});
    CHECK_FALSE(dataset.region_based);
    const LoadedCase loaded = load_case(dataset, dataset.training[0]);
    CHECK(loaded.channels.at(0).voxels[1] == -49);
    CHECK(loaded.labels.voxels[1] == 1);
  }
}

TEST_CASE("data roots are searched in order: --data-root, nnUNet_raw, <out>/data") {
  const SmallDataset small;
  const TemporaryFolder empty;
  CHECK_THAT(error_of([&] {
               open_dataset("501", {empty.path, {}});
             }),
             Contains("501") && Contains(empty.path.string()));
  setenv("nnUNet_raw", small.root.path.c_str(), 1);
  CHECK(open_dataset("501", {empty.path, {}}).training.size() == 6);
  unsetenv("nnUNet_raw");
  fs::create_directories(empty.path / "data");
  fs::rename(small.folder, empty.path / "data" / "Dataset501_Small");
  CHECK(open_dataset("501", {small.root.path, empty.path}).training.size() == 6);
}

TEST_CASE("an unknown dataset is answered with the nearest name") {
  const SmallDataset small;
  CHECK_THAT(error_of([&] { open_dataset("totalseg_mir", small.roots); }), Contains("did you mean 'totalseg_mri'"));
  CHECK_THAT(error_of([&] { open_dataset("Dataset777_None", small.roots); }), Contains("no folder Dataset777_None"));
  CHECK_THAT(error_of([&] { open_dataset("227", small.roots); }), Contains("totalseg_mri") && Contains("get it from"));
  CHECK_THAT(error_of([&] { open_dataset("", small.roots); }), Contains("--dataset is empty"));
}

TEST_CASE("every real dataset that is absent says where to get it, where to put it and what to run") {
  const SmallDataset small;
  int real = 0;
  for (const auto& name : dataset_names()) {
    if (dataset_descriptor(name).value("embedded", false)) continue;
    ++real;
    INFO(name);
    CHECK_THAT(error_of([&] { open_dataset(name, small.roots); }),
               Contains("get it from: ") && Contains(small.root.path.string()) &&
                   Contains("puts it in: <root>/Dataset") &&
                   Contains("then run: m3d-bench prepare --dataset " + name + " --source"));
    const Dataset described = describe_dataset(name, small.roots);
    CHECK(described.training.empty());
    CHECK_FALSE(described.classes.empty());
    CHECK_FALSE(described.channel_names.empty());
    std::size_t in_groups = 0, named = 0;
    for (const auto& [group, classes] : described.groups) in_groups += classes.size();
    const Json groups = dataset_descriptor(name).value("groups", Json::object());
    for (const auto& [group, classes] : groups.items()) named += classes.size();
    CHECK(in_groups == named);  // every class that a group names exists
  }
  CHECK(real == 11);
}

TEST_CASE("raw folders of every ending that images have are read") {
  const std::string ending = GENERATE(".nii", ".mha", ".nrrd", ".gipl");
  const SmallDataset small;
  const LoadedCase before = load_case(small.open(), small.open().training.front());
  for (const CaseFiles& files : small.open().training) {
    write_image(small.folder / "imagesTr" / (files.id + "_0000" + ending), read_image(files.channels.front()));
    write_labels(small.folder / "labelsTr" / (files.id + ending), read_labels(files.labels));
    fs::remove(files.channels.front());
    fs::remove(files.labels);
  }
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2},
                        "numTraining": 6, "file_ending": ")" +
                    ending + "\"}");
  const Dataset dataset = small.open();
  CHECK(dataset.training.size() == 6);
  const LoadedCase after = load_case(dataset, dataset.training.front());
  CHECK(after.labels.voxels == before.labels.voxels);
  CHECK(after.channels.front().voxels == before.channels.front().voxels);
}

TEST_CASE("regions, their painting order and an ignore label are read") {
  const SmallDataset small;
  small.describe_as(R"({"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "regions_class_order": [1, 2],
                        "labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}})");
  const Dataset dataset = small.open();
  CHECK(dataset.region_based);
  CHECK(dataset.classes.at(0).values == std::vector<int>{1, 2});
  CHECK(dataset.regions_class_order == std::vector<int>{1, 2});
  CHECK(dataset.ignore_label == 3);
  CHECK(allowed_label_values(dataset) == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("a broken dataset.json is refused with what was expected") {
  const SmallDataset small;
  small.describe_as("{\n\"labels\": {,\n");
  CHECK_THAT(small.open_error(), Contains("dataset.json:2") && Contains("not valid JSON"));
  small.describe_as(R"({"labels": {"background": 0, "a": 1}})");
  CHECK_THAT(small.open_error(), Contains("channel_names"));
  small.describe_as(R"({"channel_names": {"1": "CT"}, "labels": {"background": 0, "a": 1}})");
  CHECK_THAT(small.open_error(), Contains("number the channels from 0"));
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 3}})");
  CHECK_THAT(small.open_error(), Contains("'b' has value 3 where 2"));
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"a": 1}})");
  CHECK_THAT(small.open_error(), Contains("background"));
  small.describe_as(R"({"modality": {"0": "CT"}, "labels": {"0": "background", "1": "a"}})");
  CHECK_THAT(small.open_error(), Contains("nnUNetv2_convert_MSD_dataset"));
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "w": [1, 2], "c": 2}})");
  CHECK_THAT(small.open_error(), Contains("regions_class_order"));
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "numTraining": 7})");
  CHECK_THAT(small.open_error(), Contains("numTraining is 7 but 6"));
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "file_ending": ".png"})");
  CHECK_THAT(small.open_error(), Contains("file_ending"));
}

TEST_CASE("an empty dataset folder and one without dataset.json are refused") {
  const SmallDataset small;
  fs::remove_all(small.folder / "imagesTr");
  fs::remove_all(small.folder / "labelsTr");
  CHECK_THAT(small.open_error(), Contains("Dataset501_Small") && Contains("is empty"));
  fs::remove(small.folder / "dataset.json");
  CHECK_THAT(small.open_error(), Contains("no dataset.json"));
}

TEST_CASE("missing channel and label files are named") {
  const SmallDataset small;
  small.describe_as(R"({"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "a": 1, "b": 2}})");
  CHECK_THAT(small.open_error(), Contains("lacks 6 files") && Contains("imagesTr/a_0001.nii.gz"));
  small.describe_as(kSmallDatasetJson);
  fs::remove(small.folder / "labelsTr" / "b.nii.gz");
  CHECK_THAT(small.open_error(), Contains("lacks 1 files: labelsTr/b.nii.gz"));
}

TEST_CASE("cases may be listed in dataset.json") {
  const SmallDataset small;
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 2},
    "dataset": {"z": {"images": ["imagesTr/b_0000.nii.gz"], "label": "labelsTr/c.nii.gz"}}})");
  const Dataset dataset = small.open();
  REQUIRE(dataset.training.size() == 1);
  CHECK(dataset.training[0].id == "z");
  CHECK(dataset.training[0].labels.filename() == "c.nii.gz");
  for (const char* entry :
       {R"({"images": ["imagesTr/b_0000.nii.gz"]})", R"({"label": "labelsTr/c.nii.gz"})", "3",
        R"({"images": [], "label": "labelsTr/c.nii.gz"})", R"({"images": [7], "label": "labelsTr/c.nii.gz"})",
        R"({"images": ["imagesTr/b_0000.nii.gz"], "label": 7})"}) {
    INFO(entry);
    small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 2},
      "dataset": {"z": )" +
                      std::string(entry) + "}}");
    CHECK_THAT(small.open_error(), Contains("'dataset' entry 'z' needs 'images' with 1 paths"));
  }
}

TEST_CASE("channels of different geometry are refused") {
  const SmallDataset small;
  small.describe_as(R"({"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "a": 1, "b": 2},
    "dataset": {"z": {"images": ["imagesTr/a_0000.nii.gz", "imagesTr/z.nii.gz"], "label": "labelsTr/a.nii.gz"}}})");
  auto image = make_image<float>({4, 5, 6}, [](std::int64_t) { return 1; });
  const auto message = [&] {
    write_image(small.folder / "imagesTr" / "z.nii.gz", image);
    return error_of([&] { load_first(small.open()); });
  };
  CHECK(message().empty());
  image.geometry.origin_mm[0] += 5e-3;
  CHECK_THAT(message(), Contains("imagesTr/z.nii.gz and ") && Contains("different geometries"));
  image = make_image<float>({4, 6, 5}, [](std::int64_t) { return 1; });
  CHECK_THAT(message(), Contains("imagesTr/z.nii.gz and ") && Contains("different geometries"));
}

TEST_CASE("image and label of different geometry are refused") {
  const SmallDataset small;
  auto labels = make_image<std::int16_t>({4, 5, 6}, [](std::int64_t) { return 1; });
  labels.geometry.origin_mm[2] += 1;
  write_labels(small.folder / "labelsTr" / "a.nii.gz", labels);
  const auto message = [&] { return error_of([&] { load_first(small.open()); }); };
  CHECK_THAT(message(),
             Contains("labelsTr/a.nii.gz") && Contains("imagesTr/a_0000.nii.gz") && Contains("different geometries"));
  const auto with_geometry = [&](const std::function<void(Geometry&)>& change) {
    auto changed = make_image<std::int16_t>({4, 5, 6}, [](std::int64_t) { return 1; });
    change(changed.geometry);
    write_labels(small.folder / "labelsTr" / "a.nii.gz", changed);
    return message();
  };
  CHECK(with_geometry([](Geometry& g) { g.origin_mm[0] += 5e-4; }).empty());
  CHECK_THAT(with_geometry([](Geometry& g) { g.origin_mm[0] += 5e-3; }), Contains("different geometries"));
  CHECK_THAT(with_geometry([](Geometry& g) { g.spacing_mm[1] += 5e-3; }), Contains("different geometries"));
  CHECK_THAT(with_geometry([](Geometry& g) { g.direction = {0, 1, 0, 1, 0, 0, 0, 0, 1}; }),
             Contains("different geometries"));
  write_labels(small.folder / "labelsTr" / "a.nii.gz",
               make_image<std::int16_t>({4, 5, 7}, [](std::int64_t) { return 1; }));
  CHECK_THAT(message(), Contains("different geometries"));
}

TEST_CASE("label values that dataset.json does not have are refused") {
  const SmallDataset small;
  write_labels(small.folder / "labelsTr" / "a.nii.gz",
               make_image<std::int16_t>({4, 5, 6}, [](std::int64_t i) { return i == 77 ? 9 : 1; }));
  CHECK_THAT(error_of([&] { load_first(small.open()); }),
             Contains("labelsTr/a.nii.gz") && Contains("label value 9 is not in dataset.json (which has 0, 1, 2)"));
}

TEST_CASE("ids that leave their folder, ids that are twice there and links in circles are refused") {
  const SmallDataset small;
  const std::string long_id(201, 'x');
  for (const char* id : {"../escape", "a/b", "..", ".hidden", "", "a\\\\b", "a\\u0007b", long_id.c_str()}) {
    INFO(id);
    small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 2}, "dataset": {")" +
                      std::string(id) + R"(": {"images": ["imagesTr/b_0000.nii.gz"], "label": "labelsTr/c.nii.gz"}}})");
    CHECK_THAT(small.open_error(), Contains("cannot be a file name"));
  }
  small.describe_as(R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 2},
    "dataset": {"z": {"images": ["imagesTr/b_0000.nii.gz"], "label": "labelsTr/c.nii.gz"},
                "z": {"images": ["imagesTr/a_0000.nii.gz"], "label": "labelsTr/a.nii.gz"}}})");
  CHECK_THAT(small.open_error(), Contains("key 'z' occurs twice"));
  small.describe_as(kSmallDatasetJson);
  fs::remove(small.folder / "labelsTr" / "b.nii.gz");
  fs::create_symlink(small.folder / "labelsTr" / "b.nii.gz", small.folder / "labelsTr" / "b.nii.gz");
  CHECK_THAT(small.open_error(), Contains("labelsTr/b.nii.gz") && Contains("leads in a circle"));
}

TEST_CASE("an embedded dataset is described without being made, then made once for all who ask") {
  const TemporaryFolder root;
  unsetenv("nnUNet_raw");
  const DataRoots roots{{}, root.path};
  const Dataset described = describe_dataset("phantom_mri", roots);
  CHECK(described.embedded);
  CHECK(described.training.empty());
  CHECK(described.groups.size() == 4);
  CHECK(fs::is_empty(root.path));

  Dataset first, second;
  std::thread other([&] { second = open_dataset("phantom_mri", roots); });
  first = open_dataset("phantom_mri", roots);
  other.join();
  CHECK(first.folder == second.folder);
  CHECK(first.folder.parent_path() == root.path / "data");
  CHECK(first.training.size() >= 20);
  CHECK(second.training.size() == first.training.size());
  CHECK(load_case(first, first.training.back()).channels.size() == first.channel_names.size());
  CHECK(describe_dataset("phantom_mri", roots).training.size() == first.training.size());

  write_atomically(first.folder / "dataset.json", std::string_view(kSmallDatasetJson));
  CHECK_THAT(error_of([&] { open_dataset("phantom_mri", roots); }), Contains("another version"));
}
