#pragma once
// A network of two convolutions and a task that it can learn in a few steps: the label is 1 where the image is
// positive.
#include <filesystem>

#include "common/hash.h"
#include "common/random.h"
#include "suite/train/trainer.h"

namespace m3d::toy {

class TwoConvolutions : public Network {
 public:
  explicit TwoConvolutions(std::uint64_t seed) {
    torch::manual_seed(seed);
    torch::set_num_threads(1);  // 4 x 4 x 4 voxels are not worth a team of threads
    first_ = register_module("first", torch::nn::Conv3d(torch::nn::Conv3dOptions(1, 4, 3).padding(1)));
    second_ = register_module("second", torch::nn::Conv3d(torch::nn::Conv3dOptions(4, 2, 1)));
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override { return forward_all(image); }
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override {
    const torch::Tensor hidden = torch::dropout(torch::relu(first_(image)), 0.1, is_training());
    return {second_(hidden)};
  }
  torch::nn::Conv3d first_ = nullptr, second_ = nullptr;
};

inline Batch draw(std::int64_t step) {
  RandomStream random(7, "toy", static_cast<std::uint64_t>(step));
  Batch batch{{4, 4, 4}, 2, 1, {}, {}};
  for (int i = 0; i < 128; ++i) {
    batch.image.push_back(static_cast<float>(random.normal()));
    batch.labels.push_back(batch.image.back() > 0 ? 1 : 0);
  }
  return batch;
}

inline TargetSpec targets() { return {{{"positive", {1}}}, false}; }

/// Three epochs of four steps, a checkpoint every third step.
inline TrainingRecipe recipe() {
  TrainingRecipe recipe;
  recipe.epochs = 3;
  recipe.iterations_per_epoch = 4;
  recipe.validation_iterations = 2;
  recipe.checkpoint_every_steps = 3;
  recipe.seed = 5;
  recipe.hash = "0123456789abcdef";
  recipe.draw = draw;
  recipe.draw_validation = [](std::int64_t i) { return draw(1000 + i); };
  recipe.loss = [](const std::vector<torch::Tensor>& outputs, const torch::Tensor& target) {
    return torch::nn::functional::cross_entropy(outputs[0], target);
  };
  recipe.make_optimiser = [](std::vector<torch::Tensor> parameters) {
    return std::make_unique<torch::optim::AdamW>(std::move(parameters), torch::optim::AdamWOptions(0.05));
  };
  recipe.learning_rate = [](std::int64_t step) { return 0.05 / (1.0 + 0.1 * static_cast<double>(step)); };
  recipe.clip = [](const std::vector<torch::Tensor>& parameters) {
    return torch::nn::utils::clip_grad_norm_(parameters, 12.0);
  };
  return recipe;
}

/// A new empty folder that goes with this object.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path(std::filesystem::temp_directory_path() / ("m3d-" + name + "-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  const std::filesystem::path path;
};

inline TrainingResult train_in(const std::filesystem::path& folder, const TrainingRecipe& recipe_used) {
  TwoConvolutions network(recipe_used.seed);
  return train(network, targets(), recipe_used, folder, "toy");
}

}  // namespace m3d::toy
