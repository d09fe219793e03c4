// A trace holds the operators, also where memory is counted meanwhile: both observe the same calls.
#include "suite/profile/trace.h"

#include <torch/torch.h>
#include <unistd.h>

#include "common/atomic_file.h"
#include "suite/profile/memory_prediction.h"
#include "tests/catch.h"

using namespace m3d;

TEST_CASE("a trace names the operators while tensors' memory is counted", "[trace]") {
  const auto folder = std::filesystem::temp_directory_path() / ("m3d-trace-" + std::to_string(getpid()));
  const auto file = folder / "traces" / "trace.json";
  const int status = run_traced(file, [] {
    const torch::Tensor weight = torch::ones({64, 64}).requires_grad_();
    const TensorMemoryMeter meter;
    torch::matmul(weight, weight).sum().backward();
    CHECK(meter.peak_bytes() >= 64 * 64 * 4);
    return 3;
  });
  CHECK(status == 3);
  const std::string trace = read_file(file);
  for (const char* name : {"aten::ones", "aten::mm", "autograd::engine"}) CHECK_THAT(trace, Catch::Contains(name));
  std::filesystem::remove_all(folder);
}
