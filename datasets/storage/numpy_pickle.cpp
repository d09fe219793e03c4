#include "datasets/storage/numpy_pickle.h"

#include <cstring>
#include <numeric>

namespace m3d {
namespace {

using Kind = PickleValue::Kind;

/// An array's bytes and what they mean.
struct RawArray {
  std::vector<std::int64_t> shape;
  std::string type;  // "i8", "f4", …
  bool column_major = false;
  const std::string* bytes = nullptr;
};

bool ends_with(const PickleValue& value, std::string_view name) {
  return value.kind == Kind::opaque && value.text.starts_with("numpy") && value.text.ends_with(name);
}

const PickleValue& item(const PickleValue& sequence, std::size_t index) {
  if (index >= sequence.items.size()) damaged_pickle("an array lacks a part");
  return *sequence.items[index];
}

/// numpy.dtype('i8', …) with the byte order in its state.
std::string type_of(const PickleValue& dtype) {
  if (!ends_with(dtype, "dtype")) damaged_pickle("an array without a type");
  if (dtype.state && dtype.state->items.size() > 1 && dtype.state->items[1]->text == ">")
    throw std::runtime_error("its arrays are big-endian");
  return item(dtype, 0).text;
}

std::vector<std::int64_t> plain_integers(const PickleValue& sequence) {
  std::vector<std::int64_t> numbers;
  for (const auto& one : sequence.items) numbers.push_back(integer_of(*one));
  return numbers;
}

RawArray raw_array(const PickleValue& value) {
  if (ends_with(value, "multiarray._reconstruct") && value.state) {
    const PickleValue& state = *value.state;  // version, shape, type, column-major, bytes
    return {plain_integers(item(state, 1)), type_of(item(state, 2)), item(state, 3).integer != 0, &item(state, 4).text};
  }
  if (ends_with(value, "numeric._frombuffer"))  // buffer, type, shape, order
    return {plain_integers(item(value, 2)), type_of(item(value, 1)), item(value, 3).text == "F", &item(value, 0).text};
  if (ends_with(value, "multiarray.scalar")) return {{}, type_of(item(value, 0)), false, &item(value, 1).text};
  throw std::runtime_error("it has a value of an unexpected kind where numbers belong");
}

template <class Stored, class T>
std::vector<T> converted(const std::string& bytes) {
  std::vector<T> values(bytes.size() / sizeof(Stored));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored stored{};
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof stored);
    values[i] = static_cast<T>(stored);
  }
  return values;
}

template <class T>
std::vector<T> values_of(const RawArray& array) {
  const std::string& bytes = *array.bytes;
  if (array.type == "i8") return converted<std::int64_t, T>(bytes);
  if (array.type == "i4") return converted<std::int32_t, T>(bytes);
  if (array.type == "i2") return converted<std::int16_t, T>(bytes);
  if (array.type == "i1") return converted<std::int8_t, T>(bytes);
  if (array.type == "u8") return converted<std::uint64_t, T>(bytes);
  if (array.type == "u4") return converted<std::uint32_t, T>(bytes);
  if (array.type == "u2") return converted<std::uint16_t, T>(bytes);
  if (array.type == "u1" || array.type == "b1") return converted<std::uint8_t, T>(bytes);
  if constexpr (std::is_floating_point_v<T>) {
    if (array.type == "f8") return converted<double, T>(bytes);
    if (array.type == "f4") return converted<float, T>(bytes);
  }
  throw std::runtime_error("it has an array of the type " + array.type + " where another belongs");
}

/// Row-major from column-major.
template <class T>
std::vector<T> transposed(const std::vector<T>& values, const std::vector<std::int64_t>& shape) {
  std::vector<T> result(values.size());
  std::vector<std::int64_t> index(shape.size(), 0);
  for (T& target : result) {
    std::int64_t offset = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) offset = offset * shape[axis] + index[axis];
    target = values[static_cast<std::size_t>(offset)];
    for (std::size_t axis = shape.size(); axis-- > 0 && ++index[axis] == shape[axis];) index[axis] = 0;
  }
  return result;
}

template <class T>
T plain_number(const PickleValue& value) {
  if (value.kind == Kind::integer || value.kind == Kind::boolean) return static_cast<T>(value.integer);
  if constexpr (std::is_floating_point_v<T>)
    if (value.kind == Kind::number) return value.number;
  const auto values = values_of<T>(raw_array(value));
  if (values.size() != 1) damaged_pickle("a number that is none");
  return values.front();
}

template <class T>
NumpyArray<T> array_of(const PickleValue& value) {
  NumpyArray<T> array;
  if (value.kind == Kind::sequence) {
    for (const auto& one : value.items) array.values.push_back(plain_number<T>(*one));
    array.shape = {std::ssize(array.values)};
    return array;
  }
  const RawArray raw = raw_array(value);
  array.values = values_of<T>(raw);
  array.shape = raw.shape;
  std::int64_t count = 1;
  for (const std::int64_t size : array.shape)
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) damaged_pickle("an array of impossible sizes");
  if (count != std::ssize(array.values)) damaged_pickle("an array's sizes do not fit its bytes");
  if (raw.column_major) array.values = transposed(array.values, array.shape);
  return array;
}

template <class T>
void put_values(PickleWriter& pickle, const char* type, std::span<const T> values,
                std::span<const std::int64_t> shape) {
  // The module's name before numpy 2, which both know.
  pickle.global("numpy.core.multiarray", "_reconstruct");
  pickle.begin();
  pickle.global("numpy", "ndarray");
  pickle.begin(), pickle.integer(0), pickle.end_tuple();
  pickle.bytes("b");
  pickle.end_tuple();
  pickle.call();
  pickle.begin();
  pickle.integer(1);
  pickle.begin();
  for (const std::int64_t size : shape) pickle.integer(size);
  pickle.end_tuple();
  pickle.global("numpy", "dtype");
  pickle.begin(), pickle.text(type), pickle.boolean(false), pickle.boolean(true), pickle.end_tuple();
  pickle.call();
  pickle.begin(), pickle.integer(3), pickle.text("<");
  for (int i = 0; i < 3; ++i) pickle.none();
  pickle.integer(-1), pickle.integer(-1), pickle.integer(0), pickle.end_tuple();
  pickle.set_state();
  pickle.boolean(false);
  pickle.bytes({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  pickle.end_tuple();
  pickle.set_state();
}

}  // namespace

NumpyArray<std::int64_t> integers_of(const PickleValue& value) { return array_of<std::int64_t>(value); }
NumpyArray<double> numbers_of(const PickleValue& value) { return array_of<double>(value); }

std::int64_t integer_of(const PickleValue& value) { return plain_number<std::int64_t>(value); }
double number_of(const PickleValue& value) { return plain_number<double>(value); }

void put_array(PickleWriter& pickle, std::span<const std::int64_t> values, std::span<const std::int64_t> shape) {
  put_values(pickle, "i8", values, shape);
}
void put_array(PickleWriter& pickle, std::span<const double> values, std::span<const std::int64_t> shape) {
  put_values(pickle, "f8", values, shape);
}

}  // namespace m3d
