#pragma once
// The names that images in folders may have, a file an image: nnU-Net's, with the endings of its readers.
#include <filesystem>
#include <string>
#include <vector>

namespace m3d {

/// ".nii.gz", which is written where nothing else is asked for, then ".nii", ".mha", ".nrrd" and ".gipl".
const std::vector<std::string>& image_endings();

/// The ending of a file's name among these; empty for other names and hidden files.
std::string image_ending(const std::filesystem::path& file);

/// nnU-Net's name of a channel's file: "<id>_0001<ending>".
std::string channel_file_name(const std::string& id, std::size_t channel, const std::string& ending);

/// `<folder>/<stem>` with the first of these endings for which there is a file; with ".nii.gz" where there is none.
std::filesystem::path image_file(const std::filesystem::path& folder, const std::string& stem);

}  // namespace m3d
