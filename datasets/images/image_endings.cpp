#include "datasets/images/image_endings.h"

namespace m3d {
namespace fs = std::filesystem;

const std::vector<std::string>& image_endings() {
  static const std::vector<std::string> endings{".nii.gz", ".nii", ".mha", ".nrrd", ".gipl"};
  return endings;
}

std::string image_ending(const fs::path& file) {
  const std::string name = file.filename().string();
  for (const std::string& ending : image_endings())
    if (name.size() > ending.size() && name.front() != '.' && name.ends_with(ending)) return ending;
  return {};
}

std::string channel_file_name(const std::string& id, std::size_t channel, const std::string& ending) {
  std::string number = std::to_string(channel + 10000);
  number.front() = '_';
  return id + number + ending;
}

fs::path image_file(const fs::path& folder, const std::string& stem) {
  for (const std::string& ending : image_endings())
    if (const fs::path file = folder / (stem + ending); fs::exists(file)) return file;
  return folder / (stem + image_endings().front());
}

}  // namespace m3d
