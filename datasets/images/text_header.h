#pragma once
// Headers that are lines of text before, or beside, the voxels: MetaImage and NRRD. Internal to the image readers.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/images/byte_stream.h"
#include "datasets/images/voxel_stream.h"

namespace m3d {

/// Fields by name, and the errors that name file and field.
class TextHeader {
 public:
  explicit TextHeader(std::filesystem::path file) : file_(std::move(file)) {}

  /// Throws UserError where the name was there before.
  void add(const std::string& name, const std::string& value);
  bool has(const std::string& name) const { return fields_.count(name) > 0; }
  /// The first of `names` that is there; empty when none is.
  std::string text(std::initializer_list<const char*> names) const;
  /// Exactly `count` numbers, in C's notation, separated by blanks, commas or brackets; `fallback` where the field is
  /// absent.
  std::vector<double> numbers(std::initializer_list<const char*> names, std::size_t count,
                              std::vector<double> fallback) const;
  std::int64_t whole(const char* name, std::int64_t fallback) const;
  UserError error(const std::string& field, const std::string& expected) const;
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
  std::map<std::string, std::string> fields_;
};

/// The next line without its end ("\n" or "\r\n"). False at the end of the file. Throws UserError where a line is
/// longer than 4096 bytes or the header longer than 256 KiB, or holds bytes that are no text: another format, then.
bool next_line(ByteStream& stream, std::string& line);

/// Whole numbers above 0 in `text`, two to four of them.
std::vector<std::int64_t> sizes_in(const TextHeader& header, const char* field, std::size_t count);

/// The file beside `header` that it names for its voxels. Throws UserError for anything but a plain name: lists,
/// patterns and other folders are not followed.
std::filesystem::path beside(const TextHeader& header, const std::string& name);

std::string trimmed(std::string_view text);
std::string lower_case(std::string text);

}  // namespace m3d
