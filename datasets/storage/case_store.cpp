#include "datasets/storage/case_store.h"

#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <mutex>

#include "common/atomic_file.h"
#include "common/error.h"
#include "common/strict_yaml.h"
#include "datasets/storage/blosc_array.h"
#include "datasets/storage/read_box.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

constexpr const char* kImage = ".b2nd";
constexpr const char* kLabels = "_seg.b2nd";
constexpr const char* kProperties = ".pkl";

fs::path beside(const fs::path& folder, const char* ending) { return folder.string() + ending; }

/// The plan that a folder of ours was made by; empty where it says nothing.
std::string recorded_plan(const fs::path& folder) {
  const fs::path file = beside(folder, ".m3d.json");
  if (!fs::exists(file)) return "";
  const Json json = Json::parse(read_file(file), nullptr, false);
  if (!json.is_object() || !json.contains("plan_hash") || !json["plan_hash"].is_string())
    throw UserError(file.string() + ": expected an object with a \"plan_hash\"; remove it and the folder beside it");
  return json["plan_hash"];
}

bool ends_with_case(const std::string& name) { return name.ends_with(kImage) && !name.ends_with(kLabels); }

std::vector<std::string> ids_in(const fs::path& folder) {
  std::vector<std::string> ids;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const std::string name = entry.path().filename(); ends_with_case(name))
      ids.push_back(name.substr(0, name.size() - std::string(kImage).size()));
  std::sort(ids.begin(), ids.end());
  return ids;
}

[[noreturn]] void refuse_plan(const fs::path& folder, const std::string& found, const std::string& wanted) {
  throw UserError(
      folder.string() + " was preprocessed by another plan (" + (found.empty() ? "unknown, nnU-Net's own" : found) +
      ", wanted " + wanted +
      "): use the plan that it was made by, or have the cases prepared anew by m3d-bench prepare --rebuild");
}

void require_type(const fs::path& file, const BloscArray& array, std::initializer_list<const char*> types) {
  if (std::find(types.begin(), types.end(), array.type()) == types.end())
    throw RunError(file.string() + ": has values of the type '" + array.type() + "'; expected '" + *types.begin() +
                   "'");
}

/// Image and labels of a case, opened together.
struct OpenCase {
  BloscArray image, labels;

  OpenCase(const fs::path& image_file, const fs::path& labels_file) : image(image_file), labels(labels_file) {
    require_type(image_file, image, {"<f4"});
    require_type(labels_file, labels, {"<i2", "|i1"});
    const Shape4 expected{1, image.shape()[1], image.shape()[2], image.shape()[3]};
    if (labels.shape() != expected)
      throw RunError(labels_file.string() + ": its shape is not that of " + image_file.string());
  }

  Shape3 shape() const { return {image.shape()[1], image.shape()[2], image.shape()[3]}; }
  std::int64_t channels() const { return image.shape()[0]; }

  void read(const Shape3& begin, const Shape3& size, const PatchTarget& target) const {
    read_box<float>(image, begin, size, target, target.image);
    if (labels.type() == "<i2")
      read_box<std::int16_t>(labels, begin, size, target, target.labels);
    else
      read_box<std::int8_t>(labels, begin, size, target, target.labels);
  }
};

/// Locations in the order of `classes`; classes that the file does not know have none.
ClassLocations in_order(const CaseProperties& properties, const std::vector<std::vector<int>>& classes) {
  ClassLocations ordered;
  for (const auto& values : classes) {
    const auto found = std::find(properties.classes.begin(), properties.classes.end(), values);
    ordered.emplace_back();
    if (found != properties.classes.end())
      ordered.back() = properties.class_locations[static_cast<std::size_t>(found - properties.classes.begin())];
  }
  return ordered;
}

/// What sampling needs of a case's properties.
struct Locations {
  ClassLocations classes;
  std::vector<std::int64_t> annotated;
  std::size_t bytes() const {
    std::size_t sum = annotated.size();
    for (const auto& one : classes) sum += one.size();
    return sum * sizeof(std::int64_t);
  }
};

}  // namespace

class LocationMemory {
 public:
  /// Those kept under the key, else those that `read` gives.
  template <class Read>
  std::shared_ptr<const Locations> get(const std::string& key, const Read& read) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& one) { return one.first == key; });
      if (found != kept_.end()) {
        kept_.splice(kept_.begin(), kept_, found);
        return kept_.front().second;
      }
    }
    auto locations = std::make_shared<const Locations>(read());
    const std::lock_guard lock(mutex_);
    kept_.emplace_front(key, locations);
    bytes_ += locations->bytes();
    while (bytes_ > kLargest && kept_.size() > 1) {
      bytes_ -= kept_.back().second->bytes();
      kept_.pop_back();
    }
    return locations;
  }

 private:
  static constexpr std::size_t kLargest = std::size_t{512} << 20;
  std::mutex mutex_;
  std::list<std::pair<std::string, std::shared_ptr<const Locations>>> kept_;  // the last used first
  std::size_t bytes_ = 0;
};

namespace {

/// Opens its files at every read: they are mapped, so that this takes microseconds, and threads share nothing.
class StoredSource : public PatchSource {
 public:
  StoredSource(fs::path image, fs::path labels, fs::path properties, std::vector<std::vector<int>> classes,
               std::shared_ptr<LocationMemory> memory)
      : image_(std::move(image)),
        labels_(std::move(labels)),
        properties_(std::move(properties)),
        classes_(std::move(classes)),
        memory_(std::move(memory)) {
    const OpenCase opened(image_, labels_);
    shape_ = opened.shape();
    channels_ = opened.channels();
    for (const auto& values : classes_) {
      key_ += '/';
      for (const int value : values) key_ += std::to_string(value) + ',';
    }
    key_ = properties_.string() + key_;
  }

  Shape3 shape() const override { return shape_; }
  std::int64_t channels() const override { return channels_; }
  std::shared_ptr<const ClassLocations> class_locations() const override {
    const auto all = locations();
    return {all, &all->classes};
  }
  std::shared_ptr<const std::vector<std::int64_t>> annotated_locations() const override {
    // Only datasets with an ignore label have any: for the others the properties need not be read.
    if (annotated_known_absent_) return nullptr;
    const auto all = locations();
    if (all->annotated.empty()) annotated_known_absent_ = true;
    return {all, &all->annotated};
  }
  void read(const Shape3& begin, const Shape3& size, const PatchTarget& target) const override {
    OpenCase(image_, labels_).read(begin, size, target);
  }

 private:
  std::shared_ptr<const Locations> locations() const {
    return memory_->get(key_, [this] {
      CaseProperties properties = read_case_properties(properties_, shape_);
      return Locations{in_order(properties, classes_), std::move(properties.annotated_locations)};
    });
  }

  fs::path image_, labels_, properties_;
  std::vector<std::vector<int>> classes_;
  std::shared_ptr<LocationMemory> memory_;
  std::string key_;
  Shape3 shape_{};
  std::int64_t channels_ = 0;
  mutable std::atomic<bool> annotated_known_absent_ = false;
};

}  // namespace

CaseWriter::CaseWriter(fs::path folder, const std::string& plan_hash, const Shape3& patch, bool rebuild)
    : folder_(std::move(folder)), partial_(beside(folder_, ".partial")), patch_(patch) {
  fs::create_directories(folder_);
  const std::string found = recorded_plan(folder_);
  if ((found != plan_hash || rebuild) && !ids_in(folder_).empty()) {
    if (!rebuild) refuse_plan(folder_, found, plan_hash);
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  fs::create_directories(partial_);
  if (found != plan_hash) write_atomically(beside(folder_, ".m3d.json"), Json{{"plan_hash", plan_hash}}.dump());
}

std::optional<std::string> plan_of_cases(const fs::path& folder) {
  if (!fs::is_directory(folder) || ids_in(folder).empty()) return {};
  return recorded_plan(folder);
}

bool is_complete_case(const fs::path& folder, const std::string& id) {
  const fs::path start = folder / id;
  if (!fs::exists(start.string() + kProperties)) return false;
  try {
    const OpenCase opened(start.string() + kImage, start.string() + kLabels);
    return true;
  } catch (const RunError&) {
    return false;
  }
}

void CaseWriter::write(const PreparedCase& prepared, const CaseProperties& properties) const {
  const auto& [depth, height, width] = prepared.shape;
  const auto write_array = [&](const char* ending, auto values, std::int64_t channels) {
    const Shape4 shape{channels, depth, height, width};
    const fs::path temporary = partial_ / (prepared.id + ending), final = folder_ / (prepared.id + ending);
    write_blosc(temporary, values, shape, blosc_layout(shape, patch_, sizeof(values[0])));
    fs::rename(temporary, final);
  };
  // The properties come last: a case without them is not complete.
  fs::remove(folder_ / (prepared.id + kProperties));
  write_array(kLabels, std::span(prepared.labels), 1);
  write_array(kImage, std::span(prepared.image), prepared.channels);
  const fs::path temporary = partial_ / (prepared.id + kProperties);
  write_case_properties(temporary, properties, prepared.shape);
  fs::rename(temporary, folder_ / (prepared.id + kProperties));
}

CaseWriter::~CaseWriter() {
  std::error_code not_empty;  // another process may still write
  fs::remove(partial_, not_empty);
}

CaseStore::CaseStore(fs::path folder, const std::string& plan_hash)
    : folder_(std::move(folder)), memory_(std::make_shared<LocationMemory>()) {
  if (!fs::is_directory(folder_))
    throw UserError(
        folder_.string() +
        ": no such folder of preprocessed cases; expected <case>.b2nd, <case>_seg.b2nd and <case>.pkl in it");
  const std::string found = recorded_plan(folder_);
  if (!found.empty() && !plan_hash.empty() && found != plan_hash) refuse_plan(folder_, found, plan_hash);
  ids_ = ids_in(folder_);
  if (ids_.empty()) throw UserError(folder_.string() + ": no preprocessed cases (<case>.b2nd) in it");
}

fs::path CaseStore::file(const std::string& id, const char* ending) const {
  if (!std::binary_search(ids_.begin(), ids_.end(), id))
    throw UserError(folder_.string() + ": has no case '" + id +
                    "'; run m3d-bench prepare again, it goes on where it was");
  return folder_ / (id + ending);
}

std::shared_ptr<const PatchSource> CaseStore::source(const std::string& id,
                                                     const std::vector<std::vector<int>>& classes) const {
  return std::make_shared<StoredSource>(file(id, kImage), file(id, kLabels), file(id, kProperties), classes, memory_);
}

CaseProperties CaseStore::properties(const std::string& id) const {
  const OpenCase opened(file(id, kImage), file(id, kLabels));
  return read_case_properties(file(id, kProperties), opened.shape());
}

PreparedCase CaseStore::load(const std::string& id, const std::vector<std::vector<int>>& classes,
                             const CaseProperties& properties) const {
  const OpenCase opened(file(id, kImage), file(id, kLabels));
  PreparedCase prepared;
  prepared.id = id;
  prepared.shape = opened.shape();
  prepared.channels = opened.channels();
  const auto voxels = static_cast<std::size_t>(voxel_count(prepared.shape));
  prepared.image.resize(static_cast<std::size_t>(prepared.channels) * voxels);
  prepared.labels.resize(voxels);
  opened.read({0, 0, 0}, prepared.shape, {prepared.image.data(), prepared.labels.data(), prepared.shape, {0, 0, 0}});
  prepared.original = properties.original;
  prepared.crop_begin = properties.crop_begin;
  prepared.class_locations = in_order(properties, classes);
  prepared.annotated_locations = properties.annotated_locations;
  return prepared;
}

}  // namespace m3d
