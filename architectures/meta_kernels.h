#pragma once
// LibTorch leaves the shape functions of some operators to Python; here are those that segmentation networks need.
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

namespace m3d {

/// Makes aten::convolution, the native normalisations, attention's softmax and the gradients of these work on meta
/// tensors in this process; attention takes the way that it takes on the CPU, where scores are not kept if it can.
/// Idempotent.
void register_meta_kernels();

/// An empty meta tensor with the shape of aten::convolution's result for these arguments.
at::Tensor convolution_output(at::ArrayRef<const c10::IValue> arguments);

}  // namespace m3d
