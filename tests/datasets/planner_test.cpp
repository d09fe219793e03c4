#include "datasets/planning/planner.h"

#include "common/atomic_file.h"
#include "datasets/numerics/numpy_statistics.h"
#include "datasets/planning/dataset_fingerprint.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;

namespace {

/// Fingerprints of the record "planner", and the plans that nnU-Net 2.8.1 makes of them.
const Json& made_by_nnunet() {
  static const Json json =
      Json::parse(read_file(std::filesystem::path(M3D_SOURCE_DIR) / "tests/records/pipeline/plans/nnunet_plans.json"));
  return json;
}

Plans plain_plans() { return {made_by_nnunet().at("abdomen_ct_13").at("plans").at("plain"), "plans.json"}; }

Json changed(const std::function<void(Json&)>& change) {
  Json json = plain_plans().json();
  change(json);
  return json;
}

/// The first place where two documents differ; numbers may differ by rounding.
std::string difference(const Json& a, const Json& b, const std::string& where = "") {
  if (a.is_number() && b.is_number())
    return a.get<double>() == Approx(b.get<double>()).epsilon(1e-12) ? "" : where + ": " + a.dump() + " or " + b.dump();
  if (a.type() != b.type() || a.size() != b.size()) return where + ": " + a.dump() + " or " + b.dump();
  if (!a.is_structured()) return a == b ? "" : where + ": " + a.dump() + " or " + b.dump();
  for (const auto& [key, value] : a.items()) {
    if (b.is_object() && !b.contains(key)) return where + "/" + key + ": only in one";
    const std::string inner = difference(value, b.is_object() ? b.at(key) : b.at(std::stoul(key)), where + "/" + key);
    if (!inner.empty()) return inner;
  }
  return "";
}

}  // namespace

TEST_CASE("plans equal nnU-Net's, key by key, for every planner") {
  for (const auto& [name, item] : made_by_nnunet().items()) {
    const TemporaryFolder folder;
    write_atomically(folder.path / "dataset_fingerprint.json", item.at("fingerprint").dump());
    const Fingerprint fingerprint = read_fingerprint(folder.path / "dataset_fingerprint.json");
    CHECK(difference(fingerprint_json(fingerprint), item.at("fingerprint")).empty());
    const Json& dataset = item.at("dataset_json");
    PlanningFacts facts{item.at("dataset_name"), {}, std::ssize(dataset.at("labels")), dataset.at("numTraining")};
    for (const Json& channel : dataset.at("channel_names")) facts.channel_names.push_back(channel);
    for (const auto& [planner, expected] : item.at("plans").items()) {
      INFO(name << " " << planner);
      const Plans ours = plan_experiment(facts, fingerprint, *planner_of(planner));
      CHECK(difference(ours.json(), expected) == "");
      CHECK(difference(expected, ours.json()) == "");
    }
  }
}

TEST_CASE("a plans file made by nnU-Net is read, inheritance resolved") {
  const Plans plans = plain_plans();
  CHECK(plans.name() == "nnUNetPlans");
  CHECK(plans.configuration_names() == std::vector<std::string>{"2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"});
  const PlanConfiguration cascade = plans.configuration("3d_cascade_fullres");
  CHECK(cascade.patch_size == std::vector<std::int64_t>{56, 192, 160});
  CHECK(cascade.previous_stage == "3d_lowres");
  CHECK(cascade.normalisations == std::vector<Normalisation>{Normalisation::ct});
  CHECK(cascade.batch_dice);
  CHECK(cascade.image.order == 3);
  CHECK(cascade.logits.order == 1);
  CHECK(plans.intensities()[0].standard_deviation == 40.125);
  CHECK(plans.hash() != Plans(changed([](Json& json) { json["plans_name"] = "other"; }), "").hash());
}

TEST_CASE("plans of older nnU-Nets have their U-Net under other keys") {
  const Plans plans(changed([](Json& json) {
                      Json& old = json["configurations"]["3d_fullres"];
                      const Json arguments = old["architecture"]["arch_kwargs"];
                      old.erase("architecture");
                      old["UNet_class_name"] = "PlainConvUNet";
                      old["UNet_base_num_features"] = 32;
                      old["unet_max_num_features"] = 320;
                      old["n_conv_per_stage_encoder"] = arguments["n_conv_per_stage"];
                      old["n_conv_per_stage_decoder"] = arguments["n_conv_per_stage_decoder"];
                      old["pool_op_kernel_sizes"] = arguments["strides"];
                      old["conv_kernel_sizes"] = arguments["kernel_sizes"];
                    }),
                    "plans.json");
  CHECK(difference(plans.configuration("3d_fullres").network_arguments,
                   plain_plans().configuration("3d_fullres").network_arguments) == "");
}

TEST_CASE("broken plans are refused with the file and the key") {
  const auto error = [](const std::function<void(Json&)>& change) {
    return error_of([&] { Plans(changed(change), "plans.json").configuration("3d_fullres"); });
  };
  const auto in_configuration = [&](const std::string& key, const Json& value) {
    return error([&](Json& json) { json["configurations"]["3d_fullres"][key] = value; });
  };
  CHECK_THAT(error([](Json& json) { json.erase("transpose_forward"); }), Contains("plans.json: 'transpose_forward'"));
  CHECK_THAT(error([](Json& json) { json["transpose_forward"] = {0, 0, 2}; }), Contains("each once"));
  CHECK_THAT(error([](Json& json) { json["configurations"].erase("3d_fullres"); }), Contains("did you mean"));
  CHECK_THAT(error([](Json& json) { json["configurations"]["3d_fullres"]["inherits_from"] = "3d_cascade_fullres"; }),
             Contains("inherits from itself"));
  CHECK_THAT(in_configuration("patch_size", {64, 0, 64}), Contains("'patch_size'"));
  CHECK_THAT(in_configuration("spacing", "1 mm"), Contains("wrong type"));
  CHECK_THAT(in_configuration("normalization_schemes", {"MyNormalization"}), Contains("MyNormalization"));
  CHECK_THAT(in_configuration("use_mask_for_norm", {true, true}), Contains("1 channels"));
  CHECK_THAT(in_configuration("preprocessor_name", "MyPreprocessor"), Contains("DefaultPreprocessor"));
  CHECK_THAT(in_configuration("resampling_fn_data", "resample_torch"), Contains("resample_torch"));
  CHECK_THAT(in_configuration("batch_size", 0), Contains("at least 1"));
}

TEST_CASE("quantiles, medians and sums are numpy's") {
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<float>((i * 7919) % 1000) - 300.5F);
  const auto quantiles = numpy_quantiles(values, {0, 0.005, 0.5, 0.995, 1});
  const std::vector<double> expected{-300.5, -295.505, 199, 693.505, 698.5};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(quantiles[i] == Approx(expected[i]).epsilon(1e-14));
  CHECK(numpy_median({3, 1, 2, 10}) == 2.5);
  std::vector<double> few{4, 1, 3};
  CHECK(numpy_quantile(few, 0.1) == Approx(1.4).epsilon(1e-15));
  // Sums of numpy 2.4: above, below and beyond the blocks in which it adds up.
  CHECK(numpy_sum(std::vector<float>(1000, 0.1F)) == 100.000015F);
  std::vector<float> sevenths;
  for (std::int64_t i = 0; i < 3000; ++i) sevenths.push_back(static_cast<float>(i * 7919 % 1000) / 7.0F);
  CHECK(numpy_sum(sevenths) == 214071.44F);
  CHECK(numpy_standard_deviation(sevenths, 71.35715F) == 41.239285F);
  std::vector<float> many;
  for (std::int64_t i = 0; i < 3'000'000; ++i) many.push_back(static_cast<float>(i * 7919 % 100003) / 7.0F);
  CHECK(numpy_sum(many) == 2.142899e+10F);
  CHECK(numpy_standard_deviation(many, 7142.9966F) == 4124.053F);
}
