#include <cmath>

#include "tests/kernels/cuda_device.h"
#include "tests/kernels/scan_arguments.h"

using namespace m3d;
using namespace m3d::test;

namespace {

Scan on_device(Scan scan) {
  scan.tensors = to_device_under_test(scan.tensors);
  if (scan.orders) scan.orders = scan.orders->to(device_under_test());
  return scan;
}

/// y, the last state where there is one, and the gradients of all arguments.
Tensors results(const Scan& scan) {
  Tensors out;
  const bool with_state = !scan.orders || scan.orders->size(0) == 1;
  const auto outputs = [&](const Tensors& t) -> Tensors {
    if (!with_state) return {y_of(scan, t)};
    const auto [y, state] = scan.call(selective_scan_with_state, t);
    return {y, state};
  };
  const Tensors grads = gradients(
      [&](const Tensors& t) {
        out = outputs(t);
        at::Tensor loss;
        for (const at::Tensor& output : out) {
          const at::Tensor weights = fill("weights", output.sizes()).to(output.options());
          const at::Tensor term = (output * weights).to(at::kDouble).sum();
          loss = loss.defined() ? loss + term : term;
        }
        return loss;
      },
      scan.tensors);
  for (at::Tensor& output : out) output = output.detach();
  out.insert(out.end(), grads.begin(), grads.end());
  return to_cpu(out);
}

Tensors cuda_results(const Scan& scan) {
  const Scan moved = on_device(scan);
  Tensors out;
  with_cuda_kernels([&] { out = results(moved); });
  return out;
}

/// The largest relative error against the CPU's float64 with the same (rounded) arguments.
void check_errors(const Scan& scan, double tolerance) {
  const Tensors actual = cuda_results(scan), expected = results(scan.to(at::kDouble));
  REQUIRE(actual.size() == expected.size());
  for (std::size_t k = 0; k < actual.size(); ++k) {
    CAPTURE(k);
    CHECK(relative_error(actual[k], expected[k]) < tolerance);
  }
}

double tolerance_of(at::ScalarType type) {
  if (type == at::kDouble) return 1e-12;
  if (type == at::kFloat) return 5e-6;
  return type == at::kHalf ? 2e-3 : 1.2e-2;
}

at::Tensor three_orders(std::int64_t length) {
  return torch::cat({natural_order(length), reversed_order(length), random_order(length)});
}

}  // namespace

TEST_CASE("selective_scan on CUDA: any length, channels and states, forward and gradients", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  struct Shape {
    std::int64_t batch, length, channels, states;
  };
  for (const Shape s : {Shape{1, 1, 1, 1}, Shape{2, 31, 20, 5}, Shape{1, 33, 33, 16}, Shape{1, 70, 5, 4},
                        Shape{2, 97, 17, 8}, Shape{1, 65, 140, 9}, Shape{1, 40, 3, 100}, Shape{1, 34, 2, 256}})
    for (const auto type : {at::kDouble, at::kFloat})
      for (const int options : {0, 31}) {
        CAPTURE(s.batch, s.length, s.channels, s.states, type, options);
        check_errors(make_scan(s.batch, s.length, s.channels, s.states, options).to(type), tolerance_of(type));
      }
}

TEST_CASE("selective_scan on CUDA: every combination of options", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  for (int options = 0; options < 32; ++options) {
    CAPTURE(options);
    check_errors(make_scan(1, 35, 4, 16, options).to(at::kFloat), 5e-6);
  }
}

TEST_CASE("selective_scan on CUDA: storage types and orders", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf})
    for (const int orders : {0, 1, 3}) {
      CAPTURE(type, orders);
      Scan scan = make_scan(2, 66, 18, 16, orders == 3 ? 15 : 31).to(type);
      if (orders == 1) scan.orders = random_order(66);
      if (orders == 3) scan.orders = three_orders(66);
      check_errors(scan, tolerance_of(type));
    }
}

TEST_CASE("selective_scan on CUDA: two calls give the same bits", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  Scan scan = make_scan(2, 130, 70, 16).to(at::kFloat);
  scan.orders = three_orders(130);
  require_equal_bits(cuda_results(scan), cuda_results(scan));
}

TEST_CASE("selective_scan on CUDA: tensors that are not contiguous", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  const Scan scan = make_scan(2, 41, 20, 5).to(at::kFloat);
  Scan strided = on_device(scan);
  const at::Tensor both = torch::cat({strided.tensors[0], strided.tensors[6]}, 2);  // as in_proj leaves x and z
  strided.tensors[0] = both.narrow(2, 0, 20);
  strided.tensors[6] = both.narrow(2, 20, 20);
  strided.tensors[1] = strided.tensors[1].transpose(1, 2).contiguous().transpose(1, 2);
  strided.tensors[2] = strided.tensors[2].t().contiguous().t();
  at::Tensor y, expected;
  with_cuda_kernels([&] {
    y = y_of(strided, strided.tensors);
    const Scan dense = on_device(scan);
    expected = y_of(dense, dense.tensors);
  });
  CHECK(torch::equal(y, expected));
}

TEST_CASE("selective_scan on CUDA: no tokens, no batches, no channels", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  struct Shape {
    std::int64_t batch, length, channels;
  };
  for (const Shape s : {Shape{0, 4, 3}, Shape{2, 0, 3}, Shape{2, 4, 0}}) {
    const Scan scan = make_scan(s.batch, s.length, s.channels, 4, 31).to(at::kFloat);
    const Tensors out = cuda_results(scan);
    CHECK(out[0].sizes() == scan.tensors[0].sizes());
    CHECK(torch::equal(out[1], scan.tensors[8]));
    for (std::size_t k = 2; k + 1 < out.size(); ++k) CHECK(torch::equal(out[k], torch::zeros_like(out[k])));
  }
}

TEST_CASE("selective_scan on CUDA: large states and decays to zero are not NaN", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Scan scan = make_scan(1, 100, 6, 16, 16);
    scan.tensors[1] = scan.tensors[1] * 1e4;  // decays of exp(-80000)
    scan.tensors[5] = scan.tensors[5] * 1e6;
    for (const at::Tensor& tensor : cuda_results(scan.to(type))) CHECK(tensor.isfinite().all().item<bool>());
    Scan slow = make_scan(1, 100, 6, 16, 16);
    slow.tensors[1] = slow.tensors[1] * 0;  // no decay
    slow.tensors[5] = slow.tensors[5] * 1e6;
    for (const at::Tensor& tensor : cuda_results(slow.to(type))) CHECK(tensor.isfinite().all().item<bool>());
  }
}

TEST_CASE("selective_scan on CUDA: NaN is passed on; a wrong order reads nothing outside", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  for (const std::size_t which : {0, 1, 2}) {
    Scan broken = make_scan(1, 40, 3, 16, 0).to(at::kFloat);
    broken.tensors[which] = broken.tensors[which].clone();
    broken.tensors[which].view({-1})[0] = std::nan("");
    CHECK(cuda_results(broken)[0].isnan().any().item<bool>());
  }
  if (!has_streams()) return;  // the CPU's check of the table is in front of the emulation
  Scan wrong = make_scan(1, 40, 3, 16, 0).to(at::kFloat);
  wrong.orders = natural_order(40) * 1000000 - 5;
  CHECK(cuda_results(wrong).size() == 7);
}

TEST_CASE("selective_scan on CUDA: another stream than the default one", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  const Scan scan = make_scan(1, 300, 40, 16).to(at::kFloat), moved = on_device(scan);
  Tensors on_stream;
  on_other_stream([&] { with_cuda_kernels([&] { on_stream = results(moved); }); });
  require_equal_bits(on_stream, cuda_results(scan));
}

TEST_CASE("selective_scan on CUDA: long sequences and many channels", "[cuda][selective_scan]") {
  M3D_NEEDS_DEVICE();
  if (has_streams()) {
    check_errors(make_scan(1, 300001, 32, 16).to(at::kFloat), 1e-5);
    check_errors(make_scan(1, 37, 70000, 16).to(at::kFloat), 5e-6);
  } else {  // more channels than a sequence is cut for; forward only, as the emulation is slow
    const Scan scan = make_scan(1, 36, 65600, 1).to(at::kFloat);
    at::Tensor y;
    with_cuda_kernels([&] { y = y_of(scan, scan.tensors); });
    const Scan exact = scan.to(at::kDouble);
    CHECK(relative_error(y, y_of(exact, exact.tensors)) < 5e-6);
  }
}
