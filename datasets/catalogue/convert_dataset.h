#pragma once
// From a dataset as it is distributed to an nnU-Net v2 raw folder (dataset.json, imagesTr, labelsTr, imagesTs).
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "datasets/catalogue/dataset.h"

namespace m3d {

/// What becomes of a file that can be used as it is.
enum class LinkMode {
  symbolic,  // needs no disk; the download must stay where it is
  hard,      // needs no disk; the same file system only
  copy,
};

struct ConversionRequest {
  std::string dataset;           // a described name with its options, nnU-Net id or folder name
  std::filesystem::path source;  // the unpacked download
  DataRoots roots;               // the first of them takes the converted data
  LinkMode link = LinkMode::symbolic;
  int threads = 2;
};

/// What a conversion would do, found by looking alone.
struct ConversionOutlook {
  std::string dataset;                                // canonical name
  std::filesystem::path folder;                       // where the dataset will lie
  std::size_t training = 0, test = 0;                 // cases
  std::int64_t bytes = 0;                             // to be written, of what is not there yet (an upper estimate)
  std::vector<std::filesystem::path> first_channels;  // of the training cases, in the source
  std::vector<std::string> warnings;                  // a subset, other names …
};
ConversionOutlook look_at_conversion(const ConversionRequest& request);

/// Converts, several cases at a time, and returns the dataset's folder. Every file is whole or absent, cases that are
/// done are kept, and dataset.json is written last: a conversion that was interrupted in any way goes on where it was.
/// One process at a time holds the folder (an OS lock). Throws UserError for a source that cannot be used, for a folder
/// that was converted from another source, and when another process is at it; RunError when the disk is full.
std::filesystem::path convert_dataset(const ConversionRequest& request);

/// Whether `folder` is nnU-Net v2 raw data, which need no conversion (AMOS and the Decathlon have a dataset.json too).
bool is_raw_folder(const std::filesystem::path& folder);

/// Whether `folder` holds a conversion that did not come to its end.
bool is_unfinished_conversion(const std::filesystem::path& folder);

}  // namespace m3d
