#pragma once
// Two architectures that exist only in these tests, and a data folder of the test's own.
#include <filesystem>
#include <string>

namespace m3d::test {

/// Registers toy_mamba (options scan, merge, width) and toy_cnn (option width) once.
void register_toys();

/// A temporary data folder with two axes (scan, merge) and a recipe, which $M3D_DATA names while the object lives.
class ToyData {
 public:
  ToyData();
  ~ToyData();
  /// Writes a suite's file and returns its path.
  std::string suite(const std::string& name, const std::string& text) const;
  void write(const std::string& path, const std::string& text) const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

/// A suite that is right; tests break one thing at a time.
inline constexpr const char* kToySuite = R"(name: toy
description: A suite for tests.
base:
  recipe: short
  model: {width: 8}
  embedded: {model: {width: 4}, train: {epochs: 2}}
axes:
  scan: [single, tri]
architectures: [toy_mamba]
)";

}  // namespace m3d::test
