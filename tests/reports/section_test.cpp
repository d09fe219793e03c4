#include "reports/section.h"

#include "common/atomic_file.h"
#include "reports/differences.h"
#include "reports/label_placement.h"
#include "reports/result_tables.h"
#include "reports/run_folder.h"
#include "reports/slices.h"
#include "tests/catch.h"
#include "tests/reports/synthetic_runs.h"

using namespace m3d;
using namespace m3d::reports;
using namespace m3d::testing;

namespace {

FoundRuns found(const TemporaryFolder& temporary, const std::vector<SyntheticRun>& runs) {
  for (const SyntheticRun& run : runs) write_run(temporary.path(), run);
  return find_runs({temporary.path()});
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("runs that differ by seed and fold are one configuration") {
  const TemporaryFolder temporary("section_seeds");
  std::vector<SyntheticRun> runs = scanning_suite(3);
  for (SyntheticRun& run : scanning_suite(3)) {
    run.fold = 1;
    runs.push_back(run);
  }
  const FoundRuns all = found(temporary, runs);
  const std::vector<Section> sections = sections_of(all.runs);
  REQUIRE(sections.size() == 1);
  REQUIRE(sections[0].configurations.size() == 6);
  CHECK(sections[0].varied_axes == std::vector<std::string>{"scan"});
  CHECK(sections[0].configurations[0].short_label == "single");  // first in the suite
  CHECK(sample_words(sections[0].configurations[0]) == "2 folds × 3 seeds");
}

TEST_CASE("the baseline is the suite's first point, whichever run was started first") {
  const TemporaryFolder temporary("section_order");
  std::vector<SyntheticRun> runs = scanning_suite(1);
  runs.front().started = "2027-01-01T00:00:00Z";
  const FoundRuns all = found(temporary, runs);
  CHECK(sections_of(all.runs)[0].configurations[0].short_label == "single");
}

TEST_CASE("runs trained otherwise are not averaged, and say what differs") {
  const TemporaryFolder temporary("section_settings");
  SyntheticRun run;
  write_run(temporary.path(), run);
  run.seed = 1;
  run.started = "2026-01-06T00:00:00Z";
  const auto folder = write_run(temporary.path(), run);
  Json config = YamlDocument::load(folder / "config.yaml").root();
  config["settings"]["train"]["epochs"] = 99;
  write_atomically(folder / "config.yaml", to_yaml(config));
  const FoundRuns all = find_runs({temporary.path()});
  const std::vector<Section> sections = sections_of(all.runs);
  REQUIRE(sections[0].configurations.size() == 2);
  CHECK(sections[0].configurations[1].label == "UlikeMamba_3d · settings B");
  CHECK(sections[0].setting_notes ==
        std::vector<std::string>{"Settings A: train.epochs 12.", "Settings B: train.epochs 99."});
}

TEST_CASE("configurations of an architecture stand together, whatever the positions of their runs") {
  std::vector<Run> runs(4);
  const char* order[4][2] = {{"segmamba", "32"}, {"unetr", "32"}, {"segmamba", "64"}, {"unetr", "64"}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    runs[i].architecture = order[i][0], runs[i].title = order[i][0], runs[i].status = "ok";
    runs[i].axes = {{"patch", order[i][1]}};
  }
  std::vector<std::string> labels;
  for (const Configuration& configuration : sections_of(runs)[0].configurations) labels.push_back(configuration.label);
  CHECK(labels == std::vector<std::string>{"segmamba · 32", "segmamba · 64", "unetr · 32", "unetr · 64"});
}

TEST_CASE("rows that were not trained alike are flagged with what differs, unless an axis varies it") {
  const TemporaryFolder temporary("section_mixed");
  const auto write = [&](const std::string& scan, int epochs, const std::string& optimiser, int overlap) {
    SyntheticRun run;
    run.axes = {{"scan", scan}, {"overlap", std::to_string(overlap)}};
    const auto folder = write_run(temporary.path(), run);
    Json config = YamlDocument::load(folder / "config.yaml").root();
    config["settings"]["train"]["epochs"] = epochs;
    config["settings"]["train"]["optimiser"] = optimiser;
    config["settings"]["train"]["checkpoint_every_steps"] = epochs;
    config["settings"]["infer"]["overlap"] = overlap;
    write_atomically(folder / "config.yaml", to_yaml(config));
  };
  write("single", 300, "radam", 0);
  write("dual", 1000, "sgd", 0);
  write("tri", 300, "radam", 1);
  const FoundRuns all = find_runs({temporary.path()});
  const std::vector<std::string> notes = sections_of(all.runs)[0].mixed_recipes;
  REQUIRE(notes.size() == 2);
  CHECK(contains(notes[0], "Mixed recipes: train.epochs is "));
  CHECK(contains(notes[0], "1000 for scan dual · overlap 0"));
  CHECK(contains(notes[0], "300 for "));
  CHECK(contains(notes[1], "sgd for scan dual · overlap 0"));
  CHECK(contains(to_markdown(main_table(sections_of(all.runs)[0])), "Mixed recipes: train.epochs is "));
}

TEST_CASE("a split that has patients on both sides is told under the tables") {
  const TemporaryFolder temporary("section_leak");
  for (const int fold : {0, 1}) {
    SyntheticRun run;
    run.fold = fold;
    const auto folder = write_run(temporary.path(), run);
    Json config = YamlDocument::load(folder / "config.yaml").root();
    config["split"] = {
        {"name", "taming_mambas"}, {"hash", "1"}, {"leaking_patients", 20 + fold}, {"leak", "two frames"}};
    write_atomically(folder / "config.yaml", to_yaml(config));
  }
  const FoundRuns all = find_runs({temporary.path()});
  const std::string note =
      "Leak: split taming_mambas has the same patients in training and validation (20 patients in "
      "fold 0, 21 patients in fold 1): two frames.";
  CHECK(sections_of(all.runs)[0].leaks == std::vector<std::string>{note});
  CHECK(contains(to_html(main_table(sections_of(all.runs)[0])), note));
}

TEST_CASE("rows of one recipe have no such note") {
  const TemporaryFolder temporary("section_one_recipe");
  const FoundRuns all = found(temporary, scanning_suite(1));
  CHECK(sections_of(all.runs)[0].mixed_recipes.empty());
}

TEST_CASE("seeds tell a difference from noise") {
  const TemporaryFolder temporary("section_sentences");
  std::vector<SyntheticRun> runs = scanning_suite(3);
  const FoundRuns all = found(temporary, runs);
  const std::vector<std::string> sentences = seed_sentences(sections_of(all.runs).front());
  REQUIRE(sentences.size() == 3);  // two groups and the mean
  CHECK(contains(sentences[0],
                 "Dice of anatomy (UlikeMamba_3d; 3 seeds): values of scan differ by more than twice the spread"));
  CHECK(contains(sentences[0], "tri over dual_random (+5.20)"));
  CHECK_FALSE(contains(sentences[0], "dual over single"));
}

TEST_CASE("no difference is said as plainly") {
  const TemporaryFolder temporary("section_no_difference");
  std::vector<SyntheticRun> runs = scanning_suite(3);
  for (SyntheticRun& run : runs) run.dice = 0.85 + 0.01 * static_cast<double>(run.seed);
  const FoundRuns all = found(temporary, runs);
  const std::vector<std::string> sentences = seed_sentences(sections_of(all.runs).front());
  CHECK(contains(sentences[0], "no value of scan differs from another by more than twice the spread over seeds"));
}

TEST_CASE("one seed gives no sentence, few cases no test") {
  const TemporaryFolder temporary("section_small");
  std::vector<SyntheticRun> runs = scanning_suite(1);
  for (SyntheticRun& run : runs) run.cases = 5;
  const FoundRuns all = found(temporary, runs);
  const std::vector<Section> sections = sections_of(all.runs);
  CHECK(seed_sentences(sections.front()).empty());
  const Table table = difference_table(sections.front());
  REQUIRE(table.rows.size() == 5);
  CHECK(table.rows[0].back().text == "n too small");
}

TEST_CASE("comparisons hold the other axes") {
  const TemporaryFolder temporary("section_axes");
  std::vector<SyntheticRun> runs;
  for (const auto& [dwconv, scan] : {std::pair{"1d", "single"}, {"3d", "single"}, {"3d", "tri"}}) {
    SyntheticRun run;
    run.axes = {{"dwconv", dwconv}, {"scan", scan}};
    run.started = "2026-01-05T1" + std::to_string(runs.size());
    runs.push_back(run);
  }
  const FoundRuns all = found(temporary, runs);
  const std::vector<Section> sections = sections_of(all.runs);
  const std::vector<Comparison> comparisons = comparisons_of(sections.front());
  REQUIRE(comparisons.size() == 2);
  CHECK(comparisons[0].axis == "dwconv");
  CHECK(comparisons[0].held == "UlikeMamba_3d, scan single");
  CHECK(comparisons[1].axis == "scan");
  CHECK(comparisons[1].held == "UlikeMamba_3d, dwconv 3d");
}

/// Labels within the frame, off all discs and off each other.
void check_readable(const std::vector<LabelledDisc>& discs, const Rectangle& frame) {
  const std::vector<LabelPosition> places = place_labels(discs, frame, {});
  const auto apart = [](double a, double b, double least) { return std::abs(a - b) >= least - 1e-9; };
  for (std::size_t i = 0; i < discs.size(); ++i) {
    const double half_width = discs[i].width / 2, half_height = discs[i].height / 2;
    CHECK((places[i].x >= frame.left + half_width && places[i].x <= frame.right - half_width));
    CHECK((places[i].y >= frame.bottom + half_height && places[i].y <= frame.top - half_height));
    for (std::size_t j = 0; j < discs.size(); ++j) {
      INFO(i << " and " << j);
      if (j < i)
        CHECK((apart(places[i].x, places[j].x, 2 * half_width) || apart(places[i].y, places[j].y, 2 * half_height)));
      CHECK((apart(places[i].x, discs[j].x, half_width + discs[j].radius) ||
             apart(places[i].y, discs[j].y, half_height + discs[j].radius)));
    }
  }
}

TEST_CASE("labels overlap neither each other nor the discs") {
  std::vector<LabelledDisc> discs;
  for (int i = 0; i < 6; ++i) discs.push_back({30.0 + 3 * i, 40.0 + (i % 2), 2, 12, 2.6});
  check_readable(discs, {0, 86, 0, 80});
}

TEST_CASE("labels of many bubbles at one place do not cover each other") {
  std::vector<LabelledDisc> discs;
  for (int i = 0; i < 24; ++i)
    discs.push_back({70.0 + 4 * (i % 12), 45.0 + 4 * (i / 12) + 0.4 * (i % 3), 1.8, 24, 2.6});
  check_readable(discs, {12, 176, 12, 91});
}

TEST_CASE("slices go through the fullest planes and show superior up") {
  LabelImage labels;
  labels.geometry.shape = {4, 5, 6};
  labels.voxels.assign(120, 0);
  for (std::int64_t y = 1; y < 4; ++y) labels.at(3, y, 2) = 1;
  labels.at(1, 1, 2) = 2;
  CHECK(richest_voxel(labels) == Shape3{3, 1, 2});
  ImageF image{labels.geometry, std::vector<float>(120, 0.0F)};
  SliceView view{&image, {0, 1}, richest_voxel(labels), {{0, 0, 0}, {4, 5, 6}}, {{1, {255, 0, 0}}, {2, {0, 255, 0}}},
                 1};
  const Raster coronal = draw_slice(view, &labels, 1);
  CHECK(coronal.width == 6);
  CHECK(coronal.height == 4);
  CHECK(coronal.at(2, 0) == Rgb{255, 0, 0});  // z = 3, the highest, in the top row
  CHECK(coronal.at(2, 2) == Rgb{0, 255, 0});
  CHECK(coronal.at(0, 0) == Rgb{0, 0, 0});
}
