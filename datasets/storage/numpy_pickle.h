#pragma once
// numpy's arrays and numbers in pickles. Internal to this room.
#include <span>

#include "common/pickle.h"

namespace m3d {

template <class T>
struct NumpyArray {
  std::vector<std::int64_t> shape;
  std::vector<T> values;  // row-major
};

/// An array of integers or of real numbers, or a list or tuple of such (empty ones too). Throws std::runtime_error for
/// other values, other types and damage.
NumpyArray<std::int64_t> integers_of(const PickleValue& value);
NumpyArray<double> numbers_of(const PickleValue& value);

/// One number, Python's or numpy's.
std::int64_t integer_of(const PickleValue& value);
double number_of(const PickleValue& value);

/// Arrays that numpy 1 and 2 read.
void put_array(PickleWriter& pickle, std::span<const std::int64_t> values, std::span<const std::int64_t> shape);
void put_array(PickleWriter& pickle, std::span<const double> values, std::span<const std::int64_t> shape);

}  // namespace m3d
