// Files of Python's torch and safetensors, ours, and broken ones.
#include "suite/weights/state_file.h"

#include <filesystem>

#include "common/atomic_file.h"
#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;
namespace fs = std::filesystem;

namespace {

fs::path data(const std::string& name) { return fs::path(M3D_SOURCE_DIR) / "tests/data/weights" / name; }

fs::path scratch() {
  const fs::path folder = fs::temp_directory_path() / ("m3d-weights-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  return folder;
}

torch::Tensor tensor(const StateFile& file, const std::string& name) {
  for (const auto& [key, value] : file.tensors)
    if (key == name) return value;
  FAIL(name << " is missing");
  return {};
}

/// The tensors that make.py writes.
void check_state(const StateFile& file, bool all_types = true) {
  const auto weight = torch::arange(6, torch::kFloat32).reshape({2, 3}) / 8;
  CHECK(torch::equal(tensor(file, "weight"), weight));
  CHECK(torch::equal(tensor(file, "transposed"), weight.t()));
  CHECK(torch::equal(tensor(file, "double"), torch::tensor({1.0 / 3.0}, torch::kFloat64)));
  CHECK(tensor(file, "counter").item<std::int64_t>() == 7);
  CHECK(tensor(file, "scalar").dim() == 0);
  CHECK(tensor(file, "scalar").item<float>() == 2.5F);
  CHECK(tensor(file, "empty").sizes() == torch::IntArrayRef{0, 4});
  CHECK(torch::equal(tensor(file, "parameter"), torch::full({2}, 3.0F)));
  if (!all_types) return;
  CHECK(torch::equal(tensor(file, "half"), torch::tensor({0.5, -1.25}, torch::kFloat16)));
  CHECK(torch::equal(tensor(file, "brain"), torch::tensor({1.5}, torch::kBFloat16).reshape({1, 1})));
}

}  // namespace

TEST_CASE("PyTorch's state dictionaries are read, in the form of today and before 1.6", "[weights]") {
  const StateFile zip = read_state_file(data("state.pt")), legacy = read_state_file(data("legacy.pth"));
  check_state(zip);
  check_state(legacy);
  CHECK(zip.format == "pytorch");
  CHECK(legacy.format == "pytorch (legacy)");
  CHECK(zip.tensors.front().first == "weight");
  CHECK(zip.tensors.size() == 9);
  // Tensors that share memory in the file still do.
  CHECK(tensor(zip, "weight").data_ptr() == tensor(zip, "transposed").data_ptr());
}

TEST_CASE("safetensors files are read", "[weights]") {
  const StateFile file = read_state_file(data("state.safetensors"));
  check_state(file);
  CHECK(file.format == "safetensors");
}

TEST_CASE("weights are found inside checkpoints", "[weights]") {
  const StateFile nnunet = read_state_file(data("nnunet.pth"));
  CHECK(nnunet.place == "network_weights");
  check_state(nnunet);
  CHECK(read_state_file(data("intruder.pt")).place == "state_dict");
  CHECK(read_state_file(data("intruder.pt"), "state_dict").tensors.size() == 9);
  CHECK_THROWS_WITH(read_state_file(data("nnunet.pth"), "weights"), Catch::Contains("network_weights"));
  CHECK_THROWS_WITH(read_state_file(data("nnunet.pth"), "init_args"), Catch::Contains("no tensors"));
}

TEST_CASE("what a file names is never run", "[weights]") {
  check_state(read_state_file(data("intruder.pt")));
  CHECK_FALSE(fs::exists("intruder-was-here"));
}

TEST_CASE("a file cut anywhere, or with any byte changed, is an error or is read, and never a crash", "[weights]") {
  const fs::path file = scratch() / "broken";
  for (const std::string name : {"state.pt", "legacy.pth", "state.safetensors"}) {
    const std::string whole = read_file(data(name));
    int errors = 0;
    for (std::size_t i = 0; i < whole.size(); i += 7) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ 0x55);
      for (const std::string& bytes : {whole.substr(0, i), changed}) {
        write_atomically(file, bytes);
        try {
          read_state_file(file);
        } catch (const UserError& error) {
          ++errors;
          CHECK(std::string(error.what()).find("broken") != std::string::npos);
        }
      }
    }
    CHECK(errors > static_cast<int>(whole.size() / 7));  // at least every cut file
  }
  CHECK_THROWS_AS(read_state_file(scratch() / "absent.pt"), UserError);
  fs::remove_all(scratch());
}

TEST_CASE("written files are read back with the same bits", "[weights]") {
  const NamedTensors tensors = read_state_file(data("state.pt")).tensors;
  for (const std::string ending : {".pt", ".pth", ".safetensors"}) {
    const fs::path file = scratch() / ("written" + ending);
    write_state_file(file, tensors);
    const StateFile read = read_state_file(file);
    check_state(read);
    REQUIRE(read.tensors.size() == tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) CHECK(read.tensors[i].first == tensors[i].first);
  }
  CHECK_THROWS_WITH(write_state_file(scratch() / "weights.onnx", tensors), Catch::Contains(".safetensors"));
  fs::remove_all(scratch());
}
