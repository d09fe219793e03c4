#include <torch/torch.h>

#include <functional>
#include <sstream>

#include "common/error.h"
#include "suite/objective/loss.h"
#include "suite/objective/optimiser.h"
#include "suite/objective/region_loss.h"
#include "suite/objective/softmax_loss.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

struct Example {
  torch::Tensor logits;   // [B, K, N] float64
  torch::Tensor classes;  // [B, N]
};

Example example(std::int64_t batch, std::int64_t classes, std::int64_t voxels) {
  torch::manual_seed(5);
  return {3 * torch::randn({batch, classes, voxels}, torch::kDouble),
          torch::randint(classes, {batch, voxels}, torch::kLong)};
}

torch::Tensor gradient_of(const torch::Tensor& loss, const torch::Tensor& of) {
  return torch::autograd::grad({loss}, {of}).front();
}

}  // namespace

TEST_CASE("the fused loss and its gradient equal LibTorch's operators", "[loss]") {
  LossOptions options;
  options.batch_dice = GENERATE(false, true);
  if (GENERATE(false, true)) options.ignore_label = 1;
  options.dice_weight = 0.7;
  options.cross_entropy_weight = 1.9;
  const Example e = example(2, GENERATE(2, 5), GENERATE(13, 9001));
  const torch::Tensor fused_in = e.logits.clone().requires_grad_(), composite_in = e.logits.clone().requires_grad_();
  const torch::Tensor fused = 3 * fused_softmax_loss(fused_in, e.classes, options);
  const torch::Tensor composite = 3 * composite_softmax_loss(composite_in, e.classes, options);
  CHECK(fused.item<double>() == Approx(composite.item<double>()).epsilon(1e-12));
  CHECK(torch::allclose(gradient_of(fused, fused_in), gradient_of(composite, composite_in), 1e-9, 1e-15));
}

TEST_CASE("the fused region loss and its gradient equal LibTorch's operators", "[loss]") {
  LossOptions options;
  options.region_based = true;
  options.batch_dice = GENERATE(false, true);
  options.dice_weight = 0.7;
  options.cross_entropy_weight = 1.9;
  const Example e = example(2, GENERATE(1, 5), GENERATE(13, 9001));
  const double spread = GENERATE(1.0, 30.0);  // sigmoids that saturate, too
  torch::Tensor target = (torch::rand_like(e.logits) < 0.3).to(torch::kDouble);
  if (GENERATE(false, true)) {
    options.ignore_label = 7;
    target = torch::cat({target, (e.classes == 0).unsqueeze(1).to(torch::kDouble)}, 1);
  }
  const torch::Tensor fused_in = (spread * e.logits).requires_grad_(),
                      composite_in = fused_in.detach().requires_grad_();
  const torch::Tensor fused = 3 * fused_region_loss(fused_in, target, options);
  const torch::Tensor composite = 3 * composite_region_loss(composite_in, target, options);
  CHECK(fused.item<double>() == Approx(composite.item<double>()).epsilon(1e-12));
  CHECK(torch::allclose(gradient_of(fused, fused_in), gradient_of(composite, composite_in), 1e-9, 1e-15));
}

TEST_CASE("the loss has the same bits for any number of threads", "[loss]") {
  const Example e = example(2, 6, 30000);
  const bool regions = GENERATE(false, true);
  const torch::Tensor target = (e.logits > 1).to(torch::kFloat);
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    const torch::Tensor logits = e.logits.to(torch::kFloat).requires_grad_();
    const torch::Tensor loss =
        regions ? fused_region_loss(logits, target, {}) : fused_softmax_loss(logits, e.classes, {});
    return std::pair{loss.detach(), gradient_of(loss, logits)};
  };
  const int threads = at::get_num_threads();
  const auto [one, one_gradient] = run(1);
  const auto [three, three_gradient] = run(3);
  at::set_num_threads(threads);
  CHECK(torch::equal(one, three));
  CHECK(torch::equal(one_gradient, three_gradient));
}

TEST_CASE("a wrong and certain prediction has a finite loss", "[loss]") {
  const torch::Tensor logits = torch::tensor({200.f, 0.f}).view({1, 2, 1, 1, 1}).requires_grad_();
  const torch::Tensor loss = segmentation_loss(logits, torch::ones({1, 1, 1, 1}, torch::kLong), {});
  CHECK(loss.item<double>() == Approx(200).epsilon(1e-5));
  CHECK(torch::isfinite(gradient_of(loss, logits)).all().item<bool>());
}

TEST_CASE("half-precision logits give a float32 loss", "[loss]") {
  const torch::Tensor logits = torch::randn({1, 3, 2, 2, 2}).to(torch::kBFloat16).requires_grad_();
  const torch::Tensor loss = segmentation_loss(logits, torch::zeros({1, 2, 2, 2}, torch::kLong), {});
  CHECK(loss.scalar_type() == torch::kFloat);
  CHECK(gradient_of(loss, logits).scalar_type() == torch::kBFloat16);
}

TEST_CASE("targets that do not fit are refused", "[loss]") {
  const torch::Tensor logits = torch::zeros({1, 3, 2, 2, 2});
  CHECK_THROWS_AS(segmentation_loss(logits, torch::zeros({1, 2, 2, 3}, torch::kLong), {}), std::invalid_argument);
  CHECK_THROWS_AS(segmentation_loss(logits, torch::zeros({1, 2, 2, 2}), {}), std::invalid_argument);
  CHECK_THROWS_AS(segmentation_loss(logits, torch::full({1, 2, 2, 2}, 3, torch::kLong), {}), std::invalid_argument);
  LossOptions regions;
  regions.region_based = true;
  CHECK_THROWS_AS(segmentation_loss(logits, torch::zeros({1, 2, 2, 2}, torch::kLong), regions), std::invalid_argument);
  CHECK_NOTHROW(segmentation_loss(logits, torch::zeros({1, 3, 2, 2, 2}), regions));
  regions.ignore_label = 4;
  CHECK_THROWS_AS(segmentation_loss(logits, torch::zeros({1, 3, 2, 2, 2}), regions), std::invalid_argument);
}

TEST_CASE("deep supervision: weights halve, the last of several is 0, and grids are sampled at voxel centres",
          "[loss]") {
  CHECK(deep_supervision_weights(1) == std::vector<double>{1});
  CHECK(deep_supervision_weights(3) == std::vector<double>{1 / 1.5, 0.5 / 1.5, 0});
  const torch::Tensor labels = torch::arange(6).view({1, 1, 1, 6});
  CHECK(torch::equal(nearest_exact(labels, {1, 1, 3}).flatten(), torch::tensor({1, 3, 5})));
  CHECK(torch::equal(nearest_exact(labels, {1, 1, 4}).flatten(), torch::tensor({0, 2, 3, 5})));
  CHECK(torch::equal(nearest_exact(labels, {1, 1, 6}), labels));
  const torch::Tensor full = torch::randn({1, 3, 4, 4, 4}), half = torch::randn({1, 3, 2, 2, 2});
  const torch::Tensor target = torch::randint(3, {1, 4, 4, 4}, torch::kLong);
  CHECK(torch::equal(deep_supervision_loss({full, half}, target, {}), segmentation_loss(full, target, {})));
}

TEST_CASE("optimisers restored from their state go on with the same bits", "[optimiser]") {
  const std::string kind = GENERATE("adamw", "adam", "radam", "sgd");
  const Json settings{{"optimiser", kind}, {"learning_rate", 0.05}, {"weight_decay", 0.01}};
  const torch::Tensor start = torch::linspace(-1, 1, 7);
  const auto step = [](torch::optim::Optimizer& optimiser, torch::Tensor& p) {
    optimiser.zero_grad();
    (p - 0.3).pow(4).sum().backward();
    optimiser.step();
  };
  torch::Tensor straight = start.clone().requires_grad_(), stopped = start.clone().requires_grad_();
  const auto one = make_optimiser(settings, {straight});
  for (int i = 0; i < 14; ++i) step(*one, straight);
  std::stringstream file;
  {
    const auto first = make_optimiser(settings, {stopped});
    for (int i = 0; i < 7; ++i) step(*first, stopped);
    torch::save(*first, file);
  }
  torch::Tensor resumed = stopped.detach().clone().requires_grad_();
  const auto second = make_optimiser(settings, {resumed});
  torch::load(*second, file);
  for (int i = 0; i < 7; ++i) step(*second, resumed);
  CHECK(torch::equal(straight, resumed));
  CHECK_FALSE(torch::equal(straight, start));
}

namespace {

/// Parameters after `steps` steps; one of them has a gradient in the first step only, one a gradient laid out
/// otherwise.
std::vector<torch::Tensor> optimised(
    const std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::Tensor>)>& make,
    torch::ScalarType type, int steps) {
  torch::manual_seed(1);
  std::vector<torch::Tensor> parameters;
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{1}, {7, 5}, {3, 4, 3, 3}, {301, 133}})
    parameters.push_back(torch::randn(shape, type).requires_grad_());
  const auto optimiser = make(parameters);
  for (int step = 0; step < steps; ++step) {
    for (torch::Tensor& parameter : parameters) parameter.mutable_grad() = torch::sin(parameter.detach() + step);
    parameters[2].mutable_grad() = parameters[2].grad().to(torch::MemoryFormat::ChannelsLast);
    if (step > 0) parameters[0].mutable_grad() = torch::Tensor();
    optimiser->step();
  }
  return parameters;
}

/// LibTorch's optimiser of the settings.
std::unique_ptr<torch::optim::Optimizer> libtorch_optimiser(const Json& settings,
                                                            std::vector<torch::Tensor> parameters) {
  using namespace torch::optim;
  const std::string kind = settings.at("optimiser");
  const double rate = settings.at("learning_rate"), decay = settings.at("weight_decay");
  if (kind == "adamw") return std::make_unique<AdamW>(std::move(parameters), AdamWOptions(rate).weight_decay(decay));
  if (kind == "adam") return std::make_unique<Adam>(std::move(parameters), AdamOptions(rate).weight_decay(decay));
  const double momentum = settings.at("momentum");
  return std::make_unique<SGD>(std::move(parameters),
                               SGDOptions(rate).weight_decay(decay).momentum(momentum).nesterov(momentum > 0));
}

}  // namespace

TEST_CASE("optimisers in one pass equal LibTorch's, whatever the number of threads", "[optimiser]") {
  const Json settings =
      GENERATE(Json{{"optimiser", "adamw"}, {"learning_rate", 0.01}, {"weight_decay", 0.1}},
               Json{{"optimiser", "adam"}, {"learning_rate", 0.01}, {"weight_decay", 0.1}},
               Json{{"optimiser", "sgd"}, {"learning_rate", 0.01}, {"weight_decay", 0.1}, {"momentum", 0.99}},
               Json{{"optimiser", "sgd"}, {"learning_rate", 0.01}, {"weight_decay", 0.1}, {"momentum", 0.0}});
  const auto ours = [&](std::vector<torch::Tensor> parameters) { return make_optimiser(settings, parameters); };
  const auto theirs = [&](std::vector<torch::Tensor> parameters) { return libtorch_optimiser(settings, parameters); };
  for (const auto& [type, tolerance] : {std::pair{torch::kDouble, 1e-12}, std::pair{torch::kFloat, 1e-5}}) {
    const auto expected = optimised(theirs, type, 6), got = optimised(ours, type, 6);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(torch::allclose(got[i], expected[i], tolerance, tolerance));
    const int threads = at::get_num_threads();
    at::set_num_threads(threads == 1 ? 2 : 1);
    const auto otherwise = optimised(ours, type, 6);
    at::set_num_threads(threads);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(torch::equal(got[i], otherwise[i]));
  }
}

TEST_CASE("clipping scales all gradients by one factor", "[optimiser]") {
  torch::Tensor a = torch::zeros({2}).requires_grad_(), b = torch::zeros({1}).requires_grad_(),
                unused = torch::zeros({1}).requires_grad_();
  const auto set = [&] {
    a.mutable_grad() = torch::tensor({3.f, 0.f});
    b.mutable_grad() = torch::tensor({4.f});
  };
  set();
  CHECK(clip_gradient_norm({a, b, unused}, 10) == Approx(5));
  CHECK(a.grad()[0].item<float>() == 3);
  CHECK(clip_gradient_norm({a, b, unused}, 0) == Approx(5));
  CHECK(b.grad()[0].item<float>() == 4);
  CHECK(clip_gradient_norm({a, b, unused}, 1) == Approx(5));
  CHECK(a.grad()[0].item<float>() == Approx(0.6f));
  CHECK(b.grad()[0].item<float>() == Approx(0.8f));
  a.mutable_grad()[1] = NAN;
  CHECK_FALSE(std::isfinite(clip_gradient_norm({a, b}, 1)));
}

TEST_CASE("schedules by epoch change at epoch starts only, by step at every step", "[optimiser]") {
  Json settings{{"learning_rate", 1.0}, {"schedule", "linear"}};
  CHECK(learning_rate_at(settings, 9, 20, 5) == 0.75);
  CHECK(learning_rate_at(settings, 10, 20, 5) == 0.5);
  settings["schedule_by"] = "step";
  CHECK(learning_rate_at(settings, 9, 20, 5) == Approx(0.55));
  settings["warmup_steps"] = 10;
  settings["warmup_start_factor"] = 0.0;
  CHECK(learning_rate_at(settings, 0, 20, 5) == 0);
  CHECK(learning_rate_at(settings, 5, 20, 5) == 0.5);
  CHECK(learning_rate_at(settings, 10, 20, 5) == 1);
  CHECK(learning_rate_at(settings, 15, 20, 5) == 0.5);
}

TEST_CASE("every schedule stays finite and not negative over a whole run", "[optimiser]") {
  const std::string schedule = GENERATE("poly", "constant", "linear", "cosine", "one_cycle");
  const std::string by = GENERATE("epoch", "step");
  const std::int64_t total = GENERATE(1, 2, 7, 40);
  const Json settings{{"schedule", schedule}, {"schedule_by", by}, {"learning_rate", 0.1}};
  for (std::int64_t step = 0; step < total; ++step) {
    const double rate = learning_rate_at(settings, step, total, 3);
    INFO(schedule << " by " << by << " step " << step << " of " << total);
    CHECK((rate >= 0 && rate <= 0.1 + 1e-12));
  }
}

TEST_CASE("unknown optimisers, schedules and types are named", "[optimiser]") {
  CHECK_THROWS_WITH(make_optimiser({{"optimiser", "adamW"}}, {}), Catch::Contains("adamw"));
  CHECK_THROWS_WITH(learning_rate_at({{"schedule", "polly"}}, 0, 1, 1), Catch::Contains("poly"));
  CHECK_THROWS_WITH(learning_rate_at({{"schedule_by", "steps"}}, 0, 1, 1), Catch::Contains("step"));
  CHECK_THROWS_WITH(learning_rate_at({{"learning_rate", "fast"}}, 0, 1, 1), Catch::Contains("learning_rate"));
}
