#include "datasets/catalogue/descriptor.h"

#include <set>

#include "common/resources.h"
#include "datasets/catalogue/dataset_json.h"
#include "datasets/catalogue/descriptor_variant.h"
#include "tests/catch.h"
#include "tests/datasets/small_dataset.h"

using namespace m3d;
using namespace m3d::test;
using Catch::Contains;

namespace {

int value_of(const Json& descriptor, const std::string& name) { return descriptor["labels"].at(name).get<int>(); }

std::size_t class_count(const std::string& name) { return dataset_descriptor(name)["labels"].size() - 1; }

}  // namespace

TEST_CASE("releases, groups and orders of a dataset are options of its name") {
  CHECK(class_count("totalseg_ct") == 117);
  CHECK(class_count("totalseg_ct:version=v1") == 104);
  CHECK(class_count("totalseg_mri") == 50);
  CHECK(class_count("totalseg_mri:version=v1") == 56);
  const std::map<std::string, std::size_t> groups = {
      {"organs", 24}, {"vertebrae", 26}, {"cardiac", 18}, {"muscles", 23}, {"ribs", 26}};
  for (const auto& [group, classes] : groups) CHECK(class_count("totalseg_ct:group=" + group) == classes);
  const std::map<std::string, std::size_t> first_groups = {
      {"organs", 17}, {"vertebrae", 24}, {"cardiac", 18}, {"muscles", 21}, {"ribs", 24}};
  for (const auto& [group, classes] : first_groups)
    CHECK(class_count("totalseg_ct:group=" + group + ",version=v1") == classes);

  const Json mri = dataset_descriptor("totalseg_mri"), alphabetical = dataset_descriptor("totalseg_mri-alphabetical");
  CHECK(value_of(mri, "spleen") == 1);
  CHECK(value_of(mri, "brain") == 50);
  CHECK(value_of(alphabetical, "adrenal_gland_left") == 1);
  CHECK(value_of(alphabetical, "vertebrae") == 50);
  const Json muscles = dataset_descriptor("totalseg_ct:group=muscles");
  CHECK(value_of(muscles, "humerus_left") == 1);
  CHECK(value_of(muscles, "skull") == 23);
  CHECK(muscles["name"] == "totalseg_ct-muscles");
  CHECK_FALSE(muscles.contains("groups"));
}

TEST_CASE("a name with options has one canonical form, which is safe in a path") {
  CHECK(canonical_dataset_name("totalseg_ct") == "totalseg_ct");
  CHECK(canonical_dataset_name("totalseg_ct:group=organs,version=v1") == "totalseg_ct-v1-organs");
  CHECK(canonical_dataset_name("totalseg_ct-organs-v1") == "totalseg_ct-v1-organs");
  CHECK(canonical_dataset_name("totalseg_ct:version=v2,group=whole") == "totalseg_ct");
  CHECK_FALSE(canonical_dataset_name("Dataset501_Small").has_value());
  const auto refusal = [](const std::string& typed) { return error_of([&] { canonical_dataset_name(typed); }); };
  CHECK_THAT(refusal("totalseg_ct:versoin=v1"), Contains("did you mean 'version'"));
  CHECK_THAT(refusal("totalseg_ct:version=v3"), Contains("unknown value of 'version' 'v3'"));
  CHECK_THAT(refusal("totalseg_ct:version=v1,version=v1"), Contains("given twice"));
  CHECK_THAT(refusal("totalseg_ct:v1"), Contains("option=value"));
  CHECK_THAT(refusal("totalseg_ct-orgens"), Contains("did you mean 'organs'"));
  CHECK_THAT(refusal("acdc:version=v1"), Contains("unknown option 'version'"));
}

TEST_CASE("every variant of every dataset is sound and has a folder of its own") {
  std::set<std::string> folders;
  for (const auto& plain : dataset_names())
    for (const auto& name : dataset_variants(plain)) {
      INFO(name);
      const Json descriptor = dataset_descriptor(name);
      CHECK(canonical_dataset_name(name) == name);
      CHECK(descriptor["name"] == name);
      CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos);
      const std::string folder = usual_folder(name);
      CHECK(folders.insert(folder).second);
      CHECK(folder.find('?') == std::string::npos);
      CHECK(descriptor_of_folder(folder) == name);
      if (descriptor.value("embedded", false)) continue;
      const DatasetJson parsed = parse_dataset_json(descriptor, name);
      CHECK(parsed.classes.size() + 1 == descriptor["labels"].size());
      CHECK(descriptor.contains("converter"));
    }
  CHECK(folders.size() == 11 + 2 + 11 + 11);  // eleven real, two embedded, the options of TotalSegmentator's two
}

TEST_CASE("descriptors agree with the facts collected from the public converters") {
  const auto file = reference_folder() / "datasets.json";
  if (!std::filesystem::exists(file)) {
    WARN("skipped: " << file << " is absent");
    return;
  }
  const auto unordered = [](const Json& json) { return nlohmann::json(json); };
  const Json facts = read_json(file);
  const auto same_labels = [&](const std::string& name, const Json& labels) {
    INFO(name);
    CHECK(unordered(dataset_descriptor(name)["labels"]) == unordered(labels));
  };
  const Json& ct2 = facts["TotalSegmentator_CT_v2"];
  const Json& mri = facts["TotalSegmentator_MRI"];
  same_labels("totalseg_ct", ct2["labels"]);
  for (const auto& [group, content] : ct2["class_groups"].items())
    same_labels("totalseg_ct-" + group, content["labels"]);
  same_labels("totalseg_ct-v1", facts["TotalSegmentator_CT_v1"]["labels"]);
  same_labels("totalseg_mri", mri["versions"]["v2 (present)"]["labels_totalsegmentator_order"]);
  same_labels("totalseg_mri-v1", mri["versions"]["v1"]["labels_totalsegmentator_order"]);
  same_labels("totalseg_mri-alphabetical", mri["nnunet_alphabetical_labels"]["v2_50"]);
  same_labels("totalseg_mri-v1-alphabetical", mri["nnunet_alphabetical_labels"]["v1_56"]);
  for (const auto& [group, labels] : mri["versions"]["v2 (present)"]["groups"].items()) {
    Json with_background = {{"background", 0}};
    with_background.update(labels);
    same_labels("totalseg_mri-" + group, with_background);
  }
  for (const auto& [name, key] : std::map<std::string, std::string>{{"amos22", "AMOS2022_task2"},
                                                                    {"amos22_ct", "AMOS2022_CT_task1"},
                                                                    {"msd_braintumour", "MSD_Task01_BrainTumour"},
                                                                    {"aiib23", "AIIB2023"},
                                                                    {"synapse", "Synapse_BTCV"},
                                                                    {"acdc", "ACDC"}}) {
    same_labels(name, facts[key]["labels"]);
    CHECK(unordered(dataset_descriptor(name)["channel_names"]) == unordered(facts[key]["channel_names"]));
  }
  same_labels("brats21", facts["BraTS2021"]["labels_nnunet"]);
}

TEST_CASE("a descriptor with mistakes is refused with their place") {
  const auto check = [](const std::string& text) {
    return error_of([&] { check_options(YamlDocument::parse("name: x\noptions:\n" + text, "x.yaml")); });
  };
  CHECK(check("  a: {default: p, values: {p: {}, q: {title: other}}}\n").empty());
  CHECK_THAT(check("  a: {default: r, values: {p: {}}}\n"),
             Contains("x.yaml:3") && Contains("'default' that is one of"));
  CHECK_THAT(check("  a: {default: p, values: {p: {titel: other}}}\n"), Contains("did you mean 'title'"));
  CHECK_THAT(check("  a: {default: p, values: {p-q: {}, p: {}}}\n"), Contains("must not contain"));
  CHECK_THAT(check("  a: {default: p, values: {p: {}}}\n  b: {default: p, values: {p: {}}}\n"),
             Contains("x.yaml:4") && Contains("belongs to another option"));
}
