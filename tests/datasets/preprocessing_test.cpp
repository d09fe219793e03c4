#include "datasets/preprocessing/preprocessing.h"

#include <cmath>
#include <numeric>

#include "common/hash.h"
#include "common/resources.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/preprocessing/normalisation.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path kPipeline = reference_folder() / "records" / "pipeline";

bool records_are_absent() {
  if (fs::is_directory(kPipeline / "nnUNet_raw")) return false;
  WARN("skipped: " << kPipeline << " is absent");
  return true;
}

Dataset reference_dataset(const std::string& name) {
  return open_dataset((kPipeline / "nnUNet_raw" / name).string(), {});
}

LoadedCase load(const Dataset& dataset, const std::string& id) {
  for (const auto& files : dataset.training)
    if (files.id == id) return load_case(dataset, files);
  throw std::logic_error("no case " + id);
}

/// The statistics that nnU-Net itself drew, so that normalised voxels can be compared exactly.
Fingerprint recorded_fingerprint(const Json& record) {
  Fingerprint fingerprint;
  const Json& recorded = record["fingerprint"];
  fingerprint.median_relative_size = recorded["median_relative_size_after_cropping"];
  for (const Json& channel : recorded["foreground_intensity_properties_per_channel"])
    fingerprint.channels.push_back({channel["mean"], channel["std"], channel["min"], channel["max"], channel["median"],
                                    channel["percentile_00_5"], channel["percentile_99_5"]});
  return fingerprint;
}

double sum_of(const std::vector<float>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

/// [C, D, H, W] or [D, H, W] → the record's axis order, in which axis i is ours transpose[i].
template <class T>
std::vector<T> transposed(const std::vector<T>& voxels, const Shape3& shape,
                          const std::vector<std::size_t>& transpose) {
  std::vector<T> result;
  const Shape3 stride{shape[1] * shape[2], shape[2], 1};
  for (std::int64_t a = 0; a < shape[transpose[0]]; ++a)
    for (std::int64_t b = 0; b < shape[transpose[1]]; ++b)
      for (std::int64_t c = 0; c < shape[transpose[2]]; ++c)
        result.push_back(voxels[static_cast<std::size_t>(a * stride[transpose[0]] + b * stride[transpose[1]] +
                                                         c * stride[transpose[2]])]);
  return result;
}

/// Compares a prepared case with a recorded one that needed no resampling.
void check_prepared(const Json& record, const Json& expected, const PreparedCase& prepared) {
  const auto transpose = record["plans"]["transpose_forward"].get<std::vector<std::size_t>>();
  const auto image = transposed(prepared.image, prepared.shape, transpose);
  const Json& data = expected["data"][0];
  CHECK(sum_of(image) / static_cast<double>(image.size()) == Approx(data["mean"].get<double>()).margin(1e-5));
  for (const Json& sample : data["samples"])
    CHECK(image[sample[0].get<std::size_t>()] == Approx(sample[1].get<double>()).margin(1e-5));
  const auto labels = transposed(prepared.labels, prepared.shape, transpose);
  const std::string_view bytes(reinterpret_cast<const char*>(labels.data()), labels.size() * 2);
  CHECK(fnv1a64(bytes) == std::stoull(expected["seg"]["fnv1a64_of_int16_le"].get<std::string>(), nullptr, 16));
}

/// A one-case dataset in memory.
Dataset dataset_with(std::vector<std::string> channels, std::vector<LabelClass> classes) {
  Dataset dataset;
  dataset.channel_names = std::move(channels);
  dataset.classes = std::move(classes);
  return dataset;
}

Fingerprint plain_fingerprint(std::size_t channels, double relative_size = 1) {
  Fingerprint fingerprint;
  fingerprint.channels.resize(channels);
  fingerprint.median_relative_size = relative_size;
  return fingerprint;
}

}  // namespace

TEST_CASE("crop boxes, spacings and read voxels are nnU-Net's") {
  if (records_are_absent()) return;
  for (const char* name : {"Dataset901_SynthCT", "Dataset902_SynthMRI", "Dataset903_SynthSag"}) {
    const Json record = read_json(kPipeline / "preprocessing" / (std::string(name) + ".json"));
    const Dataset dataset = reference_dataset(name);
    const auto transpose = record["plans"]["transpose_forward"].get<std::vector<std::size_t>>();
    for (const auto& [id, expected] : record["cases"].items()) {
      INFO(name << " " << id);
      const LoadedCase loaded = load(dataset, id);
      const Geometry& geometry = loaded.channels[0].geometry;
      CHECK(geometry.spacing_mm == expected["reader"]["spacing_zyx"].get<std::array<double, 3>>());
      for (std::size_t c = 0; c < loaded.channels.size(); ++c)
        CHECK(sum_of(loaded.channels[c].voxels) / static_cast<double>(voxel_count(geometry.shape)) ==
              Approx(expected["reader"]["image_stats"][c]["mean"].get<double>()).epsilon(1e-9));
      const PreparedCase prepared = prepare_case(dataset, recorded_fingerprint(record), loaded);
      const Json& box = expected["3d_fullres"]["bbox_used_for_cropping"];
      for (std::size_t axis = 0; axis < 3; ++axis) {
        CHECK(prepared.crop_begin[transpose[axis]] == box[axis][0].get<std::int64_t>());
        CHECK(prepared.crop_begin[transpose[axis]] + prepared.shape[transpose[axis]] ==
              box[axis][1].get<std::int64_t>());
      }
    }
  }
}

TEST_CASE("fingerprints agree with nnU-Net's to the accuracy of its sampling") {
  if (records_are_absent()) return;
  for (const char* name : {"Dataset901_SynthCT", "Dataset902_SynthMRI", "Dataset903_SynthSag"}) {
    INFO(name);
    const Json record = read_json(kPipeline / "preprocessing" / (std::string(name) + ".json"));
    const Dataset dataset = reference_dataset(name);
    std::vector<std::string> ids;
    for (const auto& files : dataset.training) ids.push_back(files.id);
    const Fingerprint ours = fingerprint_of(dataset, ids), theirs = recorded_fingerprint(record);
    CHECK(ours.median_relative_size == Approx(theirs.median_relative_size).epsilon(1e-12));
    REQUIRE(ours.channels.size() == theirs.channels.size());
    for (std::size_t c = 0; c < ours.channels.size(); ++c) {
      const ChannelStatistics &a = ours.channels[c], &b = theirs.channels[c];
      CHECK(a.mean == Approx(b.mean).margin(1e-3 * b.standard_deviation));
      CHECK(a.standard_deviation == Approx(b.standard_deviation).epsilon(1e-3));
      CHECK(a.minimum == b.minimum);
      CHECK(a.maximum == b.maximum);
      CHECK(a.median == b.median);
      CHECK(a.percentile_00_5 == Approx(b.percentile_00_5).margin(1));
      CHECK(a.percentile_99_5 == Approx(b.percentile_99_5).margin(1));
    }
  }
}

TEST_CASE("a CT case that needs no resampling is prepared as nnU-Net does") {
  if (records_are_absent()) return;
  const Json record = read_json(kPipeline / "preprocessing" / "Dataset901_SynthCT.json");
  const Dataset dataset = reference_dataset("Dataset901_SynthCT");
  const PreparedCase prepared = prepare_case(dataset, recorded_fingerprint(record), load(dataset, "synthct_001"));
  const Json& expected = record["cases"]["synthct_001"]["2d"];  // its own spacing, hence without resampling
  check_prepared(record, expected, prepared);
  const auto index_of = [&](const Json& zyx) {
    return (zyx[1].get<std::int64_t>() * prepared.shape[1] + zyx[2].get<std::int64_t>()) * prepared.shape[2] +
           zyx[3].get<std::int64_t>();
  };
  for (std::size_t i = 0; i < dataset.classes.size(); ++i) {
    const Json& locations = expected["class_locations"][std::to_string(dataset.classes[i].values[0])];
    const auto& ours = prepared.class_locations[i];
    REQUIRE(ours.size() == locations["n"].get<std::size_t>());
    for (std::size_t k = 0; k < 4; ++k) CHECK(ours[k] == index_of(locations["first4"][k]));
    CHECK(ours.back() == index_of(locations["last"]));
  }
}

TEST_CASE("an MR case with a blanked outside is prepared as nnU-Net does") {
  if (records_are_absent()) return;
  const Json record = read_json(kPipeline / "preprocessing" / "Dataset903_SynthSag.json");
  const Dataset dataset = reference_dataset("Dataset903_SynthSag");
  const PreparedCase prepared = prepare_case(dataset, recorded_fingerprint(record), load(dataset, "synthsag_003"));
  check_prepared(record, record["cases"]["synthsag_003"]["3d_fullres"], prepared);
}

TEST_CASE("holes inside stay inside; background outside becomes -1; labels outside are kept") {
  LoadedCase loaded{"x", {}, {}};
  loaded.channels.push_back(make_image<float>({5, 6, 7}, [](std::int64_t) { return 0; }));
  for (std::int64_t z = 1; z < 4; ++z)
    for (std::int64_t y = 1; y < 4; ++y)
      for (std::int64_t x = 2; x < 5; ++x) loaded.channels[0].at(z, y, x) = 3;
  loaded.channels[0].at(2, 2, 3) = 0;  // a hole
  loaded.channels[0].at(1, 1, 2) = 0;  // a corner that is outside
  loaded.labels = make_image<std::int16_t>({5, 6, 7}, [](std::int64_t) { return 0; });
  loaded.labels.at(1, 1, 3) = 1;
  loaded.channels[0].at(1, 1, 3) = 0;  // a labelled voxel outside
  const Dataset dataset = dataset_with({"nonorm"}, {{"a", {1}}});
  const PreparedCase prepared = prepare_case(dataset, plain_fingerprint(1), loaded);
  CHECK(prepared.crop_begin == Shape3{1, 1, 2});
  CHECK(prepared.shape == Shape3{3, 3, 3});
  CHECK(prepared.labels[0] == -1);
  CHECK(prepared.labels[1] == 1);
  CHECK(prepared.labels[13] == 0);
  CHECK(prepared.class_locations == std::vector<std::vector<std::int64_t>>{{1}});
  CHECK(prepared.image[13] == 0);
  CHECK(prepared.image[14] == 3);
}

TEST_CASE("channel names choose the normalisation") {
  CHECK(normalisation_of("CT") == Normalisation::ct);
  CHECK(normalisation_of("ct") == Normalisation::ct);
  CHECK(normalisation_of("noNorm") == Normalisation::none);
  CHECK(normalisation_of("rescale_to_0_1") == Normalisation::rescale_to_0_1);
  CHECK(normalisation_of("FLAIR") == Normalisation::z_score);

  std::vector<float> ct{-1000, 0, 50, 3000};
  normalise(ct, {}, Normalisation::ct,
            {.mean = 20, .standard_deviation = 10, .percentile_00_5 = -30, .percentile_99_5 = 120});
  CHECK(ct == std::vector<float>{-5, -2, 3, 10});
  std::vector<float> scaled{-2, 0, 2};
  normalise(scaled, {}, Normalisation::rescale_to_0_1, {});
  CHECK(scaled == std::vector<float>{0, 0.5F, 1});
  std::vector<float> masked{7, 1, 3};
  normalise(masked, std::vector<std::uint8_t>{0, 1, 1}, Normalisation::z_score, {});
  CHECK(masked == std::vector<float>{7, -1, 1});
  std::vector<float> constant{4, 4};
  normalise(constant, {}, Normalisation::z_score, {});
  CHECK(constant == std::vector<float>{0, 0});
}

TEST_CASE("regions have the locations of all their values; ignored voxels keep their label") {
  LoadedCase loaded{"x", {make_image<float>({1, 2, 3}, [](std::int64_t) { return 5; })}, {}};
  loaded.labels = make_image<std::int16_t>({1, 2, 3}, [](std::int64_t i) { return i % 4; });  // 0 1 2 3 0 1
  Dataset dataset = dataset_with({"T1"}, {{"whole", {1, 2}}, {"core", {2}}});
  dataset.region_based = true;
  dataset.ignore_label = 3;
  PreparedCase prepared = prepare_case(dataset, plain_fingerprint(1), loaded);
  std::sort(prepared.class_locations[0].begin(), prepared.class_locations[0].end());
  CHECK(prepared.class_locations == std::vector<std::vector<std::int64_t>>{{1, 2, 5}, {2}});
  CHECK(prepared.labels == std::vector<std::int16_t>{0, 1, 2, 3, 0, 1});
}

TEST_CASE("a dataset without a labelled voxel has no fingerprint") {
  const TemporaryFolder root;
  const Dataset dataset = open_dataset(write_small_dataset(root.path).string(), {});
  CHECK(fingerprint_of(dataset, {"a", "b"}).cropped_shapes == std::vector<Shape3>{{4, 5, 6}, {4, 5, 6}});
  for (const char* id : {"a", "b"})
    write_labels(dataset.folder / "labelsTr" / (std::string(id) + ".nii.gz"),
                 make_image<std::int16_t>({4, 5, 6}, [](std::int64_t) { return 0; }));
  CHECK_THAT(error_of([&] { fingerprint_of(dataset, {"a", "b"}); }), Contains("labelled voxel"));
}

TEST_CASE("a real CT volume goes through the whole preparation") {
  const fs::path real = reference_folder() / "real";
  if (!fs::is_directory(real)) {
    WARN("skipped: " << real << " is absent");
    return;
  }
  const TemporaryFolder root;
  const fs::path folder = root.path / "Dataset502_Real";
  fs::create_directories(folder / "imagesTr");
  fs::create_directories(folder / "labelsTr");
  fs::copy_file(real / "example_ct_sm.nii.gz", folder / "imagesTr" / "one_0000.nii.gz");
  fs::copy_file(real / "example_seg.nii.gz", folder / "labelsTr" / "one.nii.gz");
  Json description{{"channel_names", {{"0", "CT"}}}, {"file_ending", ".nii.gz"}};
  description["labels"] = dataset_descriptor("totalseg_ct")["labels"];
  write_atomically(folder / "dataset.json", description.dump());
  const Dataset dataset = open_dataset(folder.string(), {});
  REQUIRE(dataset.classes.size() == 117);
  const Fingerprint fingerprint = fingerprint_of(dataset, {"one"});
  CHECK(fingerprint.channels[0].median > 0);  // soft tissue
  CHECK(fingerprint.channels[0].median < 150);
  const PreparedCase prepared = prepare_case(dataset, fingerprint, load(dataset, "one"));
  CHECK(dataset.classes[4].name == "liver");
  CHECK(prepared.class_locations[4].size() == 10000);
  CHECK(prepared.class_locations[1].size() == 3947);  // the right kidney's voxels, all of them
}
