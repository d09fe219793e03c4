#pragma once
// What a pickle holds, as plain data. Nothing in a pickle is called.
#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace m3d {

struct PickleValue;
using PicklePointer = std::shared_ptr<PickleValue>;

/// Lists, tuples and sets are all `sequence`; strings and bytes are both `text`. A class or function is a `global` with
/// its name in `text`; what an unknown one would have made is `opaque` with that name, its arguments in `items` and the
/// state that it was then given in `state`. `object` is what a hook made.
struct PickleValue {
  enum class Kind { none, boolean, integer, number, text, sequence, dictionary, global, opaque, object };
  Kind kind = Kind::none;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<PicklePointer> items;
  std::vector<std::pair<PicklePointer, PicklePointer>> entries;
  PicklePointer state;
  std::any object;

  PickleValue() = default;
  /// Values may be nested deeper than the stack, which their members' own destructors would descend.
  ~PickleValue();
  PickleValue(const PickleValue&) = delete;
  PickleValue& operator=(const PickleValue&) = delete;
};

/// What a file format reads more into. Either may be empty.
struct PickleHooks {
  /// What a call of the named global leaves; null: an opaque value.
  std::function<PicklePointer(const std::string& callable, const std::vector<PicklePointer>& arguments)> call;
  /// What a persistent id stands for. Pickles with one are refused where this is empty.
  std::function<PicklePointer(const PickleValue& id)> persistent;
};

/// Reads one pickle (protocols 2 to 5) from `bytes` at `position` and moves it behind the pickle's end. Throws
/// std::runtime_error for damage and for opcodes that data does not need.
PicklePointer read_pickle(std::string_view bytes, std::size_t& position, const PickleHooks& hooks = {});

/// The value under a text key; null where there is none.
PicklePointer entry_of(const PickleValue& dictionary, std::string_view key);

/// Throws what damaged pickles throw.
[[noreturn]] void damaged_pickle(const std::string& why);

/// Writes a pickle of protocol 4 piece by piece: what is put between begin and end calls becomes their items.
class PickleWriter {
 public:
  explicit PickleWriter(int protocol = 4);

  void none() { put("N"); }
  void boolean(bool value) { put(value ? "\x88" : "\x89"); }
  void integer(std::int64_t value);
  void number(double value);
  void text(std::string_view value);
  void bytes(std::string_view value);
  void global(std::string_view module, std::string_view name);
  void begin() { put("("); }
  void end_tuple() { put("t"); }
  void end_list() { put("l"); }
  void end_dictionary() { put("d"); }  // keys and values in turn
  void call() { put("R"); }            // of a global and a tuple
  void set_state() { put("b"); }       // of the object before it
  void persistent_id() { put("Q"); }   // of the value before it
  std::string finished() const { return bytes_ + "."; }

 private:
  void put(std::string_view text) { bytes_ += text; }
  template <class Number>
  void raw(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  std::string bytes_;
};

}  // namespace m3d
