// TotalSegmentator, CT and MRI: sXXXX/<image>.nii.gz with a binary mask a class under sXXXX/segmentations. As in its
// own converter (resources/convert_dataset_to_nnunet.py): masks are painted in the order of the ids, so that later
// classes win where masks overlap, an absent mask is an empty one, and meta.csv's training and validation subjects are
// the training cases, in one fold, its test subjects the test cases. Without meta.csv all subjects are training cases.
#include <algorithm>
#include <fstream>
#include <set>

#include "datasets/converters/conversion.h"
#include "datasets/converters/source_folder.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

std::vector<std::string> cells_of(std::string line, char separator) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == separator)
      cells.emplace_back();
    else if (c != '\r' && c != '"')
      cells.back() += c;
  }
  return cells;
}

std::size_t column(const std::vector<std::string>& head, const std::string& name, const fs::path& file) {
  const auto found = std::find(head.begin(), head.end(), name);
  if (found == head.end())
    throw UserError(file.string() + ":1: no column '" + name + "'; expected image_id and split, separated by ;");
  return static_cast<std::size_t>(found - head.begin());
}

/// image_id → train, val or test. Empty where there is no meta.csv.
std::map<std::string, std::string> read_meta(const fs::path& file) {
  std::map<std::string, std::string> split_of_subject;
  std::ifstream stream(file);
  std::string line;
  if (!is_file(file) || !std::getline(stream, line)) return split_of_subject;
  if (line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // byte-order mark
  const char separator = line.find(';') != std::string::npos ? ';' : ',';
  const auto head = cells_of(line, separator);
  const std::size_t id = column(head, "image_id", file), split = column(head, "split", file);
  for (int number = 2; std::getline(stream, line); ++number) {
    if (line.empty() || line == "\r") continue;
    const auto cells = cells_of(line, separator);
    const std::string where = file.string() + ":" + std::to_string(number);
    if (cells.size() <= std::max(id, split)) throw UserError(where + ": fewer cells than the first line has names");
    require_case_id(cells[id], where);
    if (cells[split] != "train" && cells[split] != "val" && cells[split] != "test")
      throw UserError(where + ": split is '" + cells[split] + "'; expected train, val or test");
    if (!split_of_subject.emplace(cells[id], cells[split]).second)
      throw UserError(where + ": subject '" + cells[id] + "' is there twice; keep one line");
  }
  return split_of_subject;
}

class Subjects {
 public:
  Subjects(const fs::path& source, const Json& descriptor)
      : source_(source),
        descriptor_(descriptor),
        image_(descriptor["raw_layout"]["image"]),
        meta_(read_meta(source / "meta.csv")) {}

  Conversion convert() {
    for (const std::string& id : subfolder_names(source_))
      if (fs::is_directory(source_ / id / "segmentations") || is_file(volume(source_ / id, image_))) add(id);
    if (conversion_.cases.empty())
      throw layout_error(source_, descriptor_, "no folder has " + image_ + ".nii.gz and segmentations/");
    missing_.throw_if_any(source_);
    add_split();
    add_warnings();
    return std::move(conversion_);
  }

 private:
  void add(const std::string& id) {
    const auto entry = meta_.find(id);
    const std::string split = entry == meta_.end() ? "train" : entry->second;
    if (!meta_.empty() && entry == meta_.end()) ++unlisted_;
    ConvertedCase one{id, split == "test", {{volume(source_ / id, image_)}}, {}};
    missing_.require(one.channels[0].file);
    if (!fs::is_directory(source_ / id / "segmentations"))
      throw layout_error(source_, descriptor_, id + " has no folder segmentations/");
    for (const auto& [name, value] : descriptor_["labels"].items()) {
      if (value == 0) continue;
      const fs::path mask = volume(source_ / id / "segmentations", name);
      one.labels.masks.emplace_back(value.get<int>(), mask);
      if (is_file(mask)) seen_.insert(name);
    }
    std::sort(one.labels.masks.begin(), one.labels.masks.end());
    if (split == "train") training_.push_back(id);
    if (split == "val") validation_.push_back(id);
    conversion_.cases.push_back(std::move(one));
  }

  void add_split() {
    if (!training_.empty() && !validation_.empty())
      conversion_.splits = Json::array({{{"train", training_}, {"val", validation_}}});
  }

  void add_warnings() {
    const auto found = conversion_.cases.size();
    const auto expected = meta_.empty() ? descriptor_.value("cases", std::size_t{0}) : meta_.size();
    if (found < expected)
      conversion_.warnings.push_back("a subset: " + std::to_string(found) + " of " + std::to_string(expected) +
                                     " subjects are there; results are not those of the whole dataset");
    if (unlisted_ > 0)
      conversion_.warnings.push_back(std::to_string(unlisted_) + " subjects are not in meta.csv; they are trained on");
    std::vector<std::string> never;
    for (const auto& [name, value] : descriptor_["labels"].items())
      if (value != 0 && !seen_.contains(name)) never.push_back(name);
    if (!never.empty())
      conversion_.warnings.push_back(
          "no subject has a mask of " + never.front() +
          (never.size() > 1 ? " and " + std::to_string(never.size() - 1) + " other classes" : "") +
          ", which stay empty; if the data are another release, give --dataset " + "NAME:version=…");
  }

  const fs::path& source_;
  const Json& descriptor_;
  std::string image_;
  std::map<std::string, std::string> meta_;
  Conversion conversion_;
  MissingFiles missing_;
  std::set<std::string> seen_;  // classes of which at least one subject has a mask
  std::vector<std::string> training_, validation_;
  std::size_t unlisted_ = 0;
};

}  // namespace

Conversion convert_totalsegmentator(const fs::path& source, const Json& descriptor) {
  return Subjects(source, descriptor).convert();
}

}  // namespace m3d
