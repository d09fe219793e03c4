// Compiled into m3d_datasets, which has the writers: m3d_phantom itself only makes cases in memory.
#include <cstdio>

#include "common/atomic_file.h"
#include "common/log.h"
#include "datasets/phantom/phantom.h"

namespace m3d {

void generate_phantom(const std::string& name, const std::filesystem::path& dataset_folder) {
  const Json description = phantom_dataset_json(name);
  std::filesystem::create_directories(dataset_folder / "imagesTr");
  std::filesystem::create_directories(dataset_folder / "labelsTr");
  for (int index = 0; index < phantom_case_count(); ++index) {
    const PhantomCase phantom = make_phantom_case(name, index);
    for (std::size_t c = 0; c < phantom.channels.size(); ++c) {
      char ending[32];
      std::snprintf(ending, sizeof ending, "_%04zu.nii.gz", c);
      write_image(dataset_folder / "imagesTr" / (phantom.id + ending), phantom.channels[c]);
    }
    write_labels(dataset_folder / "labelsTr" / (phantom.id + ".nii.gz"), phantom.labels);
  }
  write_atomically(dataset_folder / "dataset.json", description.dump(2) + "\n");
}

}  // namespace m3d
