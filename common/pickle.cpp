#include "common/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>

namespace m3d {
namespace {

using Kind = PickleValue::Kind;

PicklePointer make(Kind kind) {
  auto value = std::make_shared<PickleValue>();
  value->kind = kind;
  return value;
}

PicklePointer integer(std::int64_t number) {
  auto value = make(Kind::integer);
  value->integer = number;
  return value;
}

PicklePointer text(std::string content) {
  auto value = make(Kind::text);
  value->text = std::move(content);
  return value;
}

std::vector<const PickleValue*> parts_of(const PickleValue& value) {
  std::vector<const PickleValue*> parts;
  for (const auto& item : value.items) parts.push_back(item.get());
  for (const auto& [key, entry] : value.entries) parts.insert(parts.end(), {key.get(), entry.get()});
  if (value.state) parts.push_back(value.state.get());
  return parts;
}

using ValueSet = std::set<const PickleValue*>;

/// All values that `root` is made of; nothing where one of them contains itself. A walk to the depth, without
/// recursion: pickles may be nested deeper than the stack.
std::optional<ValueSet> values_within(const PickleValue& root) {
  struct Step {
    const PickleValue* value;
    std::vector<const PickleValue*> left;
  };
  ValueSet found{&root}, open{&root};  // open: on the path to where the walk is
  std::vector<Step> path{{&root, parts_of(root)}};
  while (!path.empty()) {
    Step& step = path.back();
    if (step.left.empty()) {
      open.erase(step.value);
      path.pop_back();
      continue;
    }
    const PickleValue* const next = step.left.back();
    step.left.pop_back();
    if (open.contains(next)) return {};
    if (!found.insert(next).second) continue;
    open.insert(next);
    path.push_back({next, parts_of(*next)});
  }
  return found;
}

class Reader {
 public:
  Reader(std::string_view bytes, std::size_t& position, const PickleHooks& hooks)
      : bytes_(bytes), position_(position), hooks_(hooks) {}

  /// Values that hold each other would outlive their last user: all that are not part of the result are emptied.
  ~Reader() {
    for (const auto& made : made_)
      if (const PicklePointer value = made.lock(); value && !result_.contains(value.get()))
        value->items.clear(), value->entries.clear(), value->state.reset();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  PicklePointer read() {
    while (true) {
      const char opcode = take(1)[0];
      if (opcode == '.') return finished(pop());
      if (!constant(opcode) && !container(opcode) && !memory(opcode) && !object(opcode))
        throw std::runtime_error("its pickle has an opcode that is not read here: " +
                                 std::to_string(static_cast<int>(static_cast<unsigned char>(opcode))));
    }
  }

 private:
  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - position_) damaged_pickle("it ends early");
    const auto part = bytes_.substr(position_, count);
    position_ += count;
    return part;
  }
  template <class Number>
  Number number() {
    Number value{};
    std::memcpy(&value, take(sizeof(Number)).data(), sizeof(Number));
    return value;
  }
  std::string line() {
    const auto end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) damaged_pickle("it ends early");
    const std::string content(bytes_.substr(position_, end - position_));
    position_ = end + 1;
    return content;
  }

  void push(PicklePointer value) {
    made_.push_back(value);
    stack_.push_back(std::move(value));
  }
  PicklePointer finished(PicklePointer value) {
    auto within = values_within(*value);
    if (!within) damaged_pickle("a value in it contains itself");
    result_ = std::move(*within);
    return value;
  }
  PicklePointer pop() {
    if (stack_.empty() || (!marks_.empty() && marks_.back() == stack_.size()))
      damaged_pickle("it takes from an empty stack");
    auto value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }
  PickleValue& top() {
    if (stack_.empty()) damaged_pickle("it takes from an empty stack");
    return *stack_.back();
  }
  /// What was pushed since the last mark.
  std::vector<PicklePointer> since_mark() {
    if (marks_.empty()) damaged_pickle("a mark is missing");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PicklePointer> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  bool constant(char opcode) {
    switch (opcode) {
      case 'N':
        push(make(Kind::none));
        return true;
      case '\x88':
      case '\x89':
        push(make(Kind::boolean)), top().integer = opcode == '\x88';
        return true;
      case 'K':
        push(integer(number<std::uint8_t>()));
        return true;
      case 'M':
        push(integer(number<std::uint16_t>()));
        return true;
      case 'J':
        push(integer(number<std::int32_t>()));
        return true;
      case '\x8a':
        push(long_integer(number<std::uint8_t>()));
        return true;
      case 'G':
        push(make(Kind::number)), top().number = big_endian_double();
        return true;
      case 'X':
        push(text(std::string(take(number<std::uint32_t>()))));
        return true;
      case '\x8c':
        push(text(std::string(take(number<std::uint8_t>()))));
        return true;
      case '\x8d':
        push(text(std::string(take(number<std::uint64_t>()))));
        return true;
      case 'U':
      case 'C':
        push(text(std::string(take(number<std::uint8_t>()))));
        return true;
      case 'T':
      case 'B':
        push(text(std::string(take(number<std::uint32_t>()))));
        return true;
      case '\x8e':
      case '\x96':
        push(text(std::string(take(number<std::uint64_t>()))));
        return true;
      case '\x80':
        take(1);
        return true;  // protocol
      case '\x95':
        take(8);
        return true;  // frame
      default:
        return false;
    }
  }

  /// Little-endian two's complement; numbers of more than 64 bits (PyTorch's magic number) keep their low 64.
  PicklePointer long_integer(std::size_t length) {
    const auto digits = take(length);
    std::uint64_t value = !digits.empty() && (digits.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, digits.data(), std::min<std::size_t>(length, 8));
    return integer(static_cast<std::int64_t>(value));
  }
  double big_endian_double() { return std::bit_cast<double>(__builtin_bswap64(number<std::uint64_t>())); }

  bool container(char opcode) {
    switch (opcode) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        since_mark();
        return true;
      case '2':
        push(stack_.empty() ? pop() : stack_.back());
        return true;
      case ')':
      case ']':
      case '\x8f':
        push(make(Kind::sequence));
        return true;
      case '}':
        push(make(Kind::dictionary));
        return true;
      case 't':
      case 'l':
      case '\x91':
        sequence(since_mark());
        return true;
      case '\x85':
        last_items(1);
        return true;
      case '\x86':
        last_items(2);
        return true;
      case '\x87':
        last_items(3);
        return true;
      case 'a':
        append({pop()});
        return true;
      case 'e':
      case '\x90':
        append(since_mark());
        return true;
      case 'd':
        dictionary_from(since_mark());
        return true;
      case 's':
        set_one();
        return true;
      case 'u':
        set_items(since_mark());
        return true;
      default:
        return false;
    }
  }
  void sequence(std::vector<PicklePointer> items) {
    push(make(Kind::sequence));
    top().items = std::move(items);
  }
  void last_items(std::size_t count) {
    std::vector<PicklePointer> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    sequence(std::move(items));
  }
  void append(const std::vector<PicklePointer>& items) {
    auto& target = top().items;
    target.insert(target.end(), items.begin(), items.end());
  }
  void dictionary_from(const std::vector<PicklePointer>& items) {
    push(make(Kind::dictionary));
    set_items(items);
  }
  void set_one() {
    auto value = pop();
    auto key = pop();
    top().entries.emplace_back(std::move(key), std::move(value));
  }
  void set_items(const std::vector<PicklePointer>& items) {
    if (items.size() % 2 != 0) damaged_pickle("a dictionary has a key without a value");
    for (std::size_t i = 0; i < items.size(); i += 2) top().entries.emplace_back(items[i], items[i + 1]);
  }

  bool memory(char opcode) {
    switch (opcode) {
      case 'q':
        memo_[number<std::uint8_t>()] = shared_top();
        return true;
      case 'r':
        memo_[number<std::uint32_t>()] = shared_top();
        return true;
      case '\x94':
        memo_[memo_.size()] = shared_top();
        return true;
      case 'h':
        push(remembered(number<std::uint8_t>()));
        return true;
      case 'j':
        push(remembered(number<std::uint32_t>()));
        return true;
      default:
        return false;
    }
  }
  PicklePointer shared_top() {
    top();
    return stack_.back();
  }
  PicklePointer remembered(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) damaged_pickle("it asks for a value that it never stored");
    return found->second;
  }

  bool object(char opcode) {
    switch (opcode) {
      case 'c': {
        const std::string module = line();
        push_global(module + "." + line());
        return true;
      }
      case '\x93': {
        const auto name = pop(), module = pop();
        push_global(module->text + "." + name->text);
        return true;
      }
      case 'Q':
        push(persistent(*pop()));
        return true;
      case 'R':
      case '\x81': {
        const auto arguments = pop(), callable = pop();
        push(made_by(*callable, arguments->items));
        return true;
      }
      case '\x92': {
        pop();
        const auto arguments = pop(), callable = pop();
        push(made_by(*callable, arguments->items));
        return true;
      }
      case 'b': {
        auto state = pop();
        top().state = std::move(state);
        return true;
      }
      default:
        return false;
    }
  }
  void push_global(std::string name) {
    push(make(Kind::global));
    top().text = std::move(name);
  }

  PicklePointer persistent(const PickleValue& id) {
    if (!hooks_.persistent) damaged_pickle("it names objects that lie elsewhere");
    return hooks_.persistent(id);
  }

  /// What the few callables that plain data needs make, or the hooks'; every other one leaves a placeholder.
  PicklePointer made_by(const PickleValue& callable, const std::vector<PicklePointer>& arguments) {
    const std::string& name = callable.text;
    if (name == "collections.OrderedDict" || name == "builtins.dict") return make(Kind::dictionary);
    if (hooks_.call)
      if (auto made = hooks_.call(name, arguments)) return made;
    auto value = make(Kind::opaque);
    value->text = name;
    value->items = arguments;
    return value;
  }

  std::string_view bytes_;
  std::size_t& position_;
  const PickleHooks& hooks_;
  std::vector<PicklePointer> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, PicklePointer> memo_;
  std::vector<std::weak_ptr<PickleValue>> made_;
  ValueSet result_;
};

}  // namespace

void damaged_pickle(const std::string& why) { throw std::runtime_error("its pickle is damaged: " + why); }

PicklePointer read_pickle(std::string_view bytes, std::size_t& position, const PickleHooks& hooks) {
  return Reader(bytes, position, hooks).read();
}

}  // namespace m3d
