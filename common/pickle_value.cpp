#include <algorithm>
#include <iterator>

#include "common/pickle.h"

namespace m3d {

PickleValue::~PickleValue() {
  std::vector<PicklePointer> left;
  const auto take_parts = [&left](PickleValue& value) {
    std::move(value.items.begin(), value.items.end(), std::back_inserter(left));
    for (auto& [key, entry] : value.entries) left.push_back(std::move(key)), left.push_back(std::move(entry));
    if (value.state) left.push_back(std::move(value.state));
    value.items.clear(), value.entries.clear();
  };
  take_parts(*this);
  while (!left.empty()) {
    const PicklePointer last = std::move(left.back());
    left.pop_back();
    if (last.use_count() == 1) take_parts(*last);
  }
}

PicklePointer entry_of(const PickleValue& dictionary, std::string_view key) {
  for (const auto& [name, value] : dictionary.entries)
    if (name->kind == PickleValue::Kind::text && name->text == key) return value;
  return nullptr;
}

}  // namespace m3d
