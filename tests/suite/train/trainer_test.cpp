#include <torch/torch.h>

#include <sstream>

#include "common/atomic_file.h"
#include "suite/train/checkpoint.h"
#include "suite/train/numeric_failure.h"
#include "tests/catch.h"
#include "tests/suite/train/toy.h"

namespace m3d {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

/// log.csv without its last column, the seconds.
std::string log_without_seconds(const fs::path& folder) {
  std::istringstream content(read_file(folder / "log.csv"));
  std::string result;
  for (std::string line; std::getline(content, line);) result += line.substr(0, line.rfind(',')) + "\n";
  return result;
}

void require_same_end(const fs::path& a, const fs::path& b) {
  REQUIRE(read_file(a / "checkpoint.pt") == read_file(b / "checkpoint.pt"));
  REQUIRE(read_file(a / "best.pt") == read_file(b / "best.pt"));
  REQUIRE(log_without_seconds(a) == log_without_seconds(b));
}

TEST_CASE("Training lowers the loss and logs every epoch") {
  const toy::Folder folder("train");
  const TrainingResult result = toy::train_in(folder.path, toy::recipe());
  REQUIRE(result.steps == 12);
  toy::TwoConvolutions network(5);
  auto optimiser = toy::recipe().make_optimiser(network.parameters());
  const TrainingState state = load_checkpoint(folder.path / "checkpoint.pt", network, *optimiser, "0123456789abcdef");
  REQUIRE(state.rows.size() == 3);
  CHECK(state.rows.back().train_loss < 0.8 * state.rows.front().train_loss);
  CHECK(state.rows.back().step == 12);
  CHECK(state.rows.back().pseudo_dice.value() > 0.6);
  CHECK(state.rows.back().learning_rate == 0.05 / 2.1);
  CHECK_THAT(read_file(folder.path / "log.csv"), Contains("epoch,step,train_loss,validation_loss,learning_rate,"));
}

TEST_CASE("Two equal runs write the same bytes, another seed writes others") {
  const toy::Folder a("same-a"), b("same-b"), c("same-c");
  toy::train_in(a.path, toy::recipe());
  toy::train_in(b.path, toy::recipe());
  require_same_end(a.path, b.path);
  TrainingRecipe other = toy::recipe();
  other.seed = 6;
  toy::train_in(c.path, other);
  CHECK(read_file(a.path / "checkpoint.pt") != read_file(c.path / "checkpoint.pt"));
}

/// `optimiser` must keep its state through the checkpoint.
template <class Optimiser, class Options>
void require_resumable(Options options, std::int64_t stop_before) {
  TrainingRecipe recipe = toy::recipe();
  recipe.make_optimiser = [options](std::vector<torch::Tensor> parameters) {
    return std::make_unique<Optimiser>(std::move(parameters), options);
  };
  const toy::Folder whole("whole"), stopped("stopped");
  toy::train_in(whole.path, recipe);
  TrainingRecipe failing = recipe;
  failing.learning_rate = [&](std::int64_t step) -> double {
    if (step == stop_before) throw std::runtime_error("stopped on purpose");
    return recipe.learning_rate(step);
  };
  REQUIRE_THROWS_WITH(toy::train_in(stopped.path, failing), "stopped on purpose");
  toy::train_in(stopped.path, recipe);
  require_same_end(whole.path, stopped.path);
}

TEST_CASE("A run that stopped anywhere ends with the same bytes") {
  const std::int64_t stop_before = GENERATE(0, 2, 3, 4, 7, 11);
  require_resumable<torch::optim::AdamW>(torch::optim::AdamWOptions(0.05), stop_before);
}

TEST_CASE("Momentum survives a checkpoint") {
  require_resumable<torch::optim::SGD>(torch::optim::SGDOptions(0.05).momentum(0.9).nesterov(true).weight_decay(0.01),
                                       7);
}

TEST_CASE("A damaged checkpoint and one of another run are refused") {
  const toy::Folder folder("damaged");
  toy::train_in(folder.path, toy::recipe());
  TrainingRecipe other = toy::recipe();
  other.hash = "fedcba9876543210";
  CHECK_THROWS_WITH(toy::train_in(folder.path, other), Contains("0123456789abcdef") && Contains("--fresh"));
  const std::string bytes = read_file(folder.path / "checkpoint.pt");
  write_atomically(folder.path / "checkpoint.pt", bytes.substr(0, bytes.size() / 2));
  CHECK_THROWS_WITH(toy::train_in(folder.path, toy::recipe()), Contains("checkpoint.pt") && Contains("--fresh"));
}

TEST_CASE("A loss that turns NaN names the module that overflows") {
  const toy::Folder folder("diverged");
  TrainingRecipe recipe = toy::recipe();
  toy::TwoConvolutions network(5);
  SECTION("in the forward pass") {
    torch::NoGradGuard guard;
    network.second_->weight.fill_(3e38);
    network.first_->weight.fill_(1e3);
    CHECK_THROWS_WITH(train(network, toy::targets(), recipe, folder.path, "toy"),
                      Contains("module second") && Contains("conv") && Contains("step 1"));
  }
  SECTION("in a parameter") {
    torch::NoGradGuard guard;
    network.first_->bias.fill_(std::numeric_limits<float>::quiet_NaN());
    CHECK_THROWS_WITH(train(network, toy::targets(), recipe, folder.path, "toy"), Contains("parameter first.bias"));
  }
  SECTION("in the gradient") {
    recipe.loss = [](const std::vector<torch::Tensor>& outputs, const torch::Tensor&) {
      return (outputs[0] * 0).sqrt().sum();
    };
    CHECK_THROWS_WITH(train(network, toy::targets(), recipe, folder.path, "toy"),
                      Contains("gradient") && Contains("module second"));
  }
  SECTION("is a status of its own") {
    recipe.loss = [](const std::vector<torch::Tensor>& outputs, const torch::Tensor&) {
      return outputs[0].sum() * std::numeric_limits<float>::infinity();
    };
    CHECK_THROWS_AS(train(network, toy::targets(), recipe, folder.path, "toy"), Diverged);
  }
}

TEST_CASE("The end of memory is told from other errors") {
  std::string message;
  try {
    torch::empty({std::int64_t{1} << 60}, torch::kUInt8);
  } catch (const std::exception& error) {
    CHECK(is_out_of_memory(error));
    message = error.what();
  }
  CHECK(!message.empty());
  CHECK(is_out_of_memory(std::bad_alloc()));
  CHECK(!is_out_of_memory(std::runtime_error("sizes do not match")));
}

TEST_CASE("bf16 and fp16 train on the CPU, missing devices are refused") {
  const toy::Folder folder("precision");
  TrainingRecipe recipe = toy::recipe();
  recipe.precision = "bf16";
  CHECK(toy::train_in(folder.path, recipe).steps == 12);
  recipe.precision = "fp16";
  const toy::Folder half("half");
  CHECK(toy::train_in(half.path, recipe).steps == 12);
#ifndef M3D_CUDA
  recipe.precision = "fp32";
  recipe.device = "cuda";
  CHECK_THROWS_WITH(toy::train_in(folder.path, recipe), Contains("--device"));
#endif
}

/// The toy's recipe in fp16, with a loss whose gradients overflow at the first scales.
TrainingRecipe overflowing_recipe() {
  TrainingRecipe recipe = toy::recipe();
  recipe.precision = "fp16";
  const auto loss = recipe.loss;
  recipe.loss = [loss](const std::vector<torch::Tensor>& outputs, const torch::Tensor& target) {
    return 1e3 * loss({outputs[0]}, target);
  };
  return recipe;
}

TEST_CASE("fp16 leaves out steps whose gradients overflow, and goes on from a checkpoint with its scale") {
  const TrainingRecipe recipe = overflowing_recipe();
  const toy::Folder whole("fp16-whole"), stopped("fp16-stopped");
  toy::train_in(whole.path, recipe);
  toy::TwoConvolutions network(5);
  auto optimiser = recipe.make_optimiser(network.parameters());
  const TrainingState state = load_checkpoint(whole.path / "checkpoint.pt", network, *optimiser, recipe.hash);
  CHECK(state.loss_scale.scale < 65536);
  CHECK(state.loss_scale.scale >= 1);
  CHECK(state.loss_scale.good_steps < 12);
  CHECK(state.loss_scale.good_steps > 0);
  CHECK(state.rows.back().train_loss < state.rows.front().train_loss);
  TrainingRecipe failing = recipe;
  failing.draw = [&](std::int64_t step) {
    if (step == 7) throw std::runtime_error("stopped on purpose");
    return recipe.draw(step);
  };
  REQUIRE_THROWS_WITH(toy::train_in(stopped.path, failing), "stopped on purpose");
  toy::train_in(stopped.path, recipe);
  require_same_end(whole.path, stopped.path);
}

TEST_CASE("gradients that are infinite at any scale are a divergence in fp16 too") {
  const toy::Folder folder("fp16-diverged");
  TrainingRecipe recipe = toy::recipe();
  recipe.precision = "fp16";
  recipe.epochs = 10;
  recipe.loss = [](const std::vector<torch::Tensor>& outputs, const torch::Tensor&) {
    return (outputs[0] * 0).sqrt().sum();
  };
  CHECK_THROWS_AS(toy::train_in(folder.path, recipe), Diverged);
}

// torch.amp.GradScaler(growth_interval=3) of torch 2.12 over gradients that are infinite in steps 5, 8 and 9:
// get_scale() and the parameter of SGD with rate 1 and gradient 1 after each step.
TEST_CASE("the scale of the loss moves as PyTorch's") {
  const std::vector<std::pair<double, double>> expected = {
      {65536, -1}, {65536, -2}, {131072, -3}, {131072, -4}, {65536, -4}, {65536, -5}, {65536, -6},
      {32768, -6}, {16384, -6}, {16384, -7},  {16384, -8},  {32768, -9}, {32768, -10}};
  LossScale state;
  LossScaler scaler(state, /*growth_interval=*/3);
  torch::Tensor parameter = torch::zeros({1}).requires_grad_();
  torch::optim::SGD optimiser({parameter}, torch::optim::SGDOptions(1));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    optimiser.zero_grad();
    scaler.scale(parameter.sum()).backward();
    if (i == 4 || i == 7 || i == 8) parameter.mutable_grad().fill_(std::numeric_limits<float>::infinity());
    const bool finite = scaler.unscale({parameter});
    if (finite) optimiser.step();
    scaler.update(finite);
    CHECK(state.scale == expected[i].first);
    CHECK(parameter.item<double>() == expected[i].second);
  }
}

TEST_CASE("validation every second epoch leaves the epochs between them empty, and the last is validated") {
  const toy::Folder folder("seldom");
  TrainingRecipe recipe = toy::recipe();
  recipe.validation_every_epochs = 2;
  toy::train_in(folder.path, recipe);
  toy::TwoConvolutions network(5);
  auto optimiser = recipe.make_optimiser(network.parameters());
  const auto rows = load_checkpoint(folder.path / "checkpoint.pt", network, *optimiser, recipe.hash).rows;
  REQUIRE(rows.size() == 3);
  CHECK_FALSE(rows[0].pseudo_dice);
  CHECK(rows[1].ema_pseudo_dice == rows[1].pseudo_dice);
  CHECK(rows[2].ema_pseudo_dice == 0.9 * *rows[1].pseudo_dice + 0.1 * *rows[2].pseudo_dice);
}

}  // namespace
}  // namespace m3d
