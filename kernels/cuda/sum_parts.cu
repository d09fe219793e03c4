// A block takes a few columns; its rows of threads take every kRows-th part and are added in the order of the rows.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/sum_parts.h"

namespace m3d::cuda {
namespace {

constexpr int kThreads = 256;

template <int rows, class Value, class Out>
__global__ void __launch_bounds__(kThreads) sum_columns(SumParts<Value, Out> sum) {
  constexpr int columns = kThreads / rows;
  const int row = threadIdx.x / columns, column = threadIdx.x % columns;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * columns + column;
  Value total = 0;
  if (i < sum.columns) {
#pragma unroll 8
    for (std::int64_t p = row; p < sum.count; p += rows) total += sum.parts[p * sum.columns + i];
  }
  if constexpr (rows > 1) {
    Value* const totals = shared_memory<Value>();
    totals[threadIdx.x] = total;
    __syncthreads();
    if (row != 0) return;
    for (int r = 1; r < rows; ++r) total += totals[r * columns + column];
  }
  if (i >= sum.columns) return;
  if (sum.add) total += static_cast<Value>(sum.out[i]);
  sum.out[i] = static_cast<Out>(total);
}

template <int rows, class Value, class Out>
void launch_rows(const SumParts<Value, Out>& sum, cudaStream_t stream) {
  const std::size_t shared = rows > 1 ? kThreads * sizeof(Value) : 0;
  launch(sum_columns<rows, Value, Out>, {divide_up(sum.columns, kThreads / rows), kThreads, shared, stream}, sum);
}

}  // namespace

template <class Value, class Out>
void sum_parts(const SumParts<Value, Out>& sum, cudaStream_t stream) {
  constexpr std::int64_t many = 32;
  sum.count < many ? launch_rows<1>(sum, stream) : launch_rows<16>(sum, stream);
}

template void sum_parts(const SumParts<float, float>&, cudaStream_t);
template void sum_parts(const SumParts<float, c10::BFloat16>&, cudaStream_t);
template void sum_parts(const SumParts<float, c10::Half>&, cudaStream_t);
template void sum_parts(const SumParts<double, double>&, cudaStream_t);

}  // namespace m3d::cuda
