// Predicted memory against memory counted in a real step, for every registered network.
#include "architectures/macs.h"
#include "suite/objective/loss.h"
#include "suite/objective/optimiser.h"
#include "suite/profile/memory_prediction.h"
#include "tests/architectures/reduced_form.h"
#include "tests/catch.h"

using namespace m3d;
using namespace m3d::test;

namespace {

SpeedRequest request_for(const Architecture& architecture, const Json& options) {
  SpeedRequest request;
  request.input = reduced_input(architecture, options);
  request.repeats = 1;
  request.loss = [](const std::vector<torch::Tensor>& outputs, const torch::Tensor& target) {
    return deep_supervision_loss(outputs, target, {});
  };
  request.make_optimiser = [](std::vector<torch::Tensor> parameters) {
    return make_optimiser({{"optimiser", "adamw"}}, std::move(parameters));
  };
  return request;
}

void check_prediction(const Architecture& architecture, const Json& options, const SpeedRequest& request) {
  INFO(architecture.name);
  const auto prediction = predict_memory(architecture, options, request);
  REQUIRE(prediction);
  const MemoryPrediction& predicted = *prediction;
  const MeasuredSpeed measured = measure_speed(architecture, options, request);
  REQUIRE(measured.peak_tensor_bytes);
  const double ratio = static_cast<double>(predicted.training_peak) / static_cast<double>(*measured.peak_tensor_bytes);
  INFO("predicted " << predicted.training_peak << ", counted " << *measured.peak_tensor_bytes);
  CHECK(ratio > 0.85);
  CHECK(ratio < 1.15);
  CHECK(predicted.inference_peak < predicted.training_peak);
  CHECK(predicted.activations < predicted.training_peak);
}

}  // namespace

TEST_CASE("the predicted peak of a training step is within 15 % of the counted one", "[memory]") {
  torch::set_num_threads(2);  // with one, LibTorch takes convolutions that copy their input
  for (const auto& name : architecture_names()) {
    const Architecture& architecture = find_architecture(name);
    const Json options = reduced_options(architecture);
    check_prediction(architecture, options, request_for(architecture, options));
  }
}

TEST_CASE("attention whose scores are not kept is predicted without them", "[memory]") {
  torch::set_num_threads(2);
  const std::string name = GENERATE("ulike_trans_vanilla", "unetr", "segformer3d", "transunet", "missformer");
  const Architecture& architecture = find_architecture(name);
  const Json options = reduced_options(architecture);
  SpeedRequest request = request_for(architecture, options);
  const auto scores_before = count_macs(architecture, request.input, options).attention;
  for (auto& edge : request.input.patch) edge *= 2;
  const auto scores = count_macs(architecture, request.input, options).attention;
  CHECK(scores > 2 * scores_before);  // counted as ever, in the fused form too
  check_prediction(architecture, options, request);
}

TEST_CASE("more samples need more activations, and not more parameters", "[memory]") {
  const Architecture& architecture = find_architecture("ulike_mamba_3d");
  const Json options = reduced_options(architecture);
  SpeedRequest request = request_for(architecture, options);
  request.batch_size = 1;
  const MemoryPrediction one = predict_memory(architecture, options, request).value();
  request.batch_size = 3;
  const MemoryPrediction three = predict_memory(architecture, options, request).value();
  CHECK(three.parameters == one.parameters);
  CHECK(three.optimiser == one.optimiser);
  CHECK(three.activations > 2 * one.activations);
  CHECK(one.optimiser >= 2 * one.parameters * 9 / 10);  // AdamW keeps two moments
}

TEST_CASE("checkpointed Mamba layers keep less, as predicted and as counted", "[memory]") {
  const Architecture& architecture = find_architecture("ulike_mamba_3d");
  std::vector<std::int64_t> predicted, counted;
  for (const bool checkpointed : {false, true}) {
    Json options = reduced_options(architecture);
    options["checkpoint_mixers"] = checkpointed;
    const SpeedRequest request = request_for(architecture, options);
    predicted.push_back(predict_memory(architecture, options, request).value().activations);
    counted.push_back(measure_speed(architecture, options, request).peak_tensor_bytes.value());
  }
  CHECK(predicted[1] < predicted[0] * 9 / 10);  // the convolutions around the layers stay
  CHECK(counted[1] < counted[0]);
}

TEST_CASE("costs at 128 cubed are absent where the network takes no such patch") {
  const Architecture& acdc = find_architecture("nnformer_acdc");
  const Json options = acdc.options.resolve(acdc.reduced, [](const std::string&) { return "test"; });
  CHECK_FALSE(count_costs(acdc, {1, 4, acdc.reduced_patch}, options).macs_at_128.has_value());
  const Architecture& plain = find_architecture("nnunet_plain");
  const Json reduced = plain.options.resolve(plain.reduced, [](const std::string&) { return "test"; });
  CHECK(count_costs(plain, {1, 4, plain.reduced_patch}, reduced).macs_at_128->total() > 0);
}
