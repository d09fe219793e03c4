#include "tests/ablations/toy_architectures.h"

#include <unistd.h>

#include <cstdlib>

#include "architectures/registry.h"
#include "common/atomic_file.h"

namespace m3d::test {
namespace {

Architecture toy(const std::string& name, std::vector<OptionSpec> options) {
  Architecture architecture;
  architecture.name = name;
  architecture.title = name;
  architecture.family = "control";
  architecture.options = OptionSchema("option of " + name, std::move(options));
  return architecture;
}

constexpr const char* kScan = R"(name: scan
description: Order of reading.
default: single
architectures: [toy_*]
values:
  - {value: single, title: Single}
  - {value: tri, title: Tri}
)";

constexpr const char* kSpeed = R"(name: speed
description: Sets a setting and an option.
default: slow
values:
  - value: slow
    set: {train.learning_rate: 0.5, model.merge: mean}
  - value: fast
    set: {train.learning_rate: 2, model.merge: sum}
)";

}  // namespace

void register_toys() {
  static const bool once = [] {
    const OptionSpec width{"width", OptionType::integer, 16, "channels", {}, 1};
    register_architecture(toy("toy_cnn", {width}));
    register_architecture(toy("toy_mamba", {width,
                                            {"scan", OptionType::string, "single", "order", {"single", "tri"}},
                                            {"merge", OptionType::string, "mean", "of orders", {"mean", "sum"}}}));
    return true;
  }();
  (void)once;
}

ToyData::ToyData() {
  register_toys();
  std::string pattern = (std::filesystem::temp_directory_path() / "m3d-ablations-XXXXXX").string();
  folder_ = mkdtemp(pattern.data());
  write("ablations/axes/scan.yaml", kScan);
  write("ablations/axes/speed.yaml", kSpeed);
  write("ablations/recipes/short.yaml",
        "name: short\ndescription: Short.\ntrain: {epochs: 3, learning_rate: 1.0e-3}\n");
  write("ablations/suites/toy.yaml", kToySuite);
  setenv("M3D_DATA", folder_.c_str(), 1);
}

ToyData::~ToyData() {
  unsetenv("M3D_DATA");
  std::filesystem::remove_all(folder_);
}

std::string ToyData::suite(const std::string& name, const std::string& text) const {
  write(name + ".yaml", text);
  return (folder_ / (name + ".yaml")).string();
}

void ToyData::write(const std::string& path, const std::string& text) const { write_atomically(folder_ / path, text); }

}  // namespace m3d::test
