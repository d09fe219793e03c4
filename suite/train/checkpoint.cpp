#include "suite/train/checkpoint.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "architectures/network_state.h"
#include "common/atomic_file.h"
#include "common/error.h"

namespace m3d {
namespace fs = std::filesystem;
namespace {

using Dictionary = c10::impl::GenericDict;

Dictionary new_dictionary() { return Dictionary(c10::StringType::get(), c10::AnyType::get()); }

c10::IValue weights_of(const Network& network) {
  c10::Dict<std::string, torch::Tensor> weights;
  for (const auto& [name, tensor] : state_of(network))
    weights.insert(name, tensor.detach().to(torch::kCPU).contiguous());
  return weights;
}

void fill_weights(const c10::IValue& saved, Network& network) {
  const torch::NoGradGuard no_gradients;
  const auto weights = saved.toGenericDict();
  const auto tensors = state_of(network);
  if (weights.size() != tensors.size()) throw RunError("it holds the weights of another network");
  for (const auto& [name, tensor] : tensors) {
    const auto found = weights.find(name);
    if (found == weights.end() || found->value().toTensor().sizes() != tensor.sizes())
      throw RunError("it holds the weights of another network (" + name + ")");
    torch::Tensor target = tensor;
    target.copy_(found->value().toTensor());
  }
}

std::vector<torch::Tensor> parameters_of(const torch::optim::Optimizer& optimiser) {
  std::vector<torch::Tensor> parameters;
  for (const auto& group : optimiser.param_groups())
    parameters.insert(parameters.end(), group.params().begin(), group.params().end());
  return parameters;
}

/// torch::save of an optimiser names the states by memory address; by index, equal states give equal bytes.
torch::Tensor bytes_of(const torch::optim::Optimizer& optimiser) {
  torch::serialize::OutputArchive archive;
  const std::vector<torch::Tensor> parameters = parameters_of(optimiser);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto found = optimiser.state().find(parameters[i].unsafeGetTensorImpl());
    if (found == optimiser.state().end()) continue;
    torch::serialize::OutputArchive one(archive.compilation_unit());
    found->second->serialize(one);
    archive.write(std::to_string(i), one);
  }
  auto bytes = std::make_shared<std::string>();
  std::size_t weights = 0;
  for (const torch::Tensor& parameter : parameters) weights += parameter.nbytes();
  bytes->reserve(3 * weights);  // address space only; growing would copy
  archive.save_to([&](const void* data, std::size_t size) {
    bytes->append(static_cast<const char*>(data), size);
    return size;
  });
  return torch::from_blob(
      bytes->data(), {static_cast<std::int64_t>(bytes->size())}, [bytes](void*) {}, torch::kUInt8);
}

/// Only the optimiser knows the type of its states: a step with zero gradients makes it create one for every parameter.
/// The weights it moves (weight decay) are loaded afterwards.
void create_states(torch::optim::Optimizer& optimiser) {
  for (torch::Tensor& parameter : optimiser.param_groups().front().params())
    parameter.mutable_grad() = torch::zeros_like(parameter);
  optimiser.step();
  optimiser.zero_grad();
}

void fill_optimiser(const torch::Tensor& bytes, torch::optim::Optimizer& optimiser) {
  torch::serialize::InputArchive archive;
  archive.load_from(reinterpret_cast<const char*>(bytes.data_ptr<std::uint8_t>()),
                    static_cast<std::size_t>(bytes.numel()));
  create_states(optimiser);
  const std::vector<torch::Tensor> parameters = parameters_of(optimiser);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto found = optimiser.state().find(parameters[i].unsafeGetTensorImpl());
    if (found == optimiser.state().end()) continue;
    torch::serialize::InputArchive one;
    if (archive.try_read(std::to_string(i), one))
      found->second->serialize(one);
    else
      optimiser.state().erase(found);
  }
}

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

std::optional<double> optional_of(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

std::string text_of(const TrainingState& state, const std::string& hash) {
  Json rows = Json::array();
  for (const LogRow& row : state.rows) rows.push_back(to_json(row));
  return Json{{"schema", 1},
              {"hash", hash},
              {"step", state.step},
              {"epoch", state.rows.size()},
              {"epoch_loss", state.epoch_loss},
              {"ema_pseudo_dice", json_of(state.ema_pseudo_dice)},
              {"best_ema_pseudo_dice", json_of(state.best_ema_pseudo_dice)},
              {"loss_scale", state.loss_scale.scale},
              {"loss_scale_good_steps", state.loss_scale.good_steps},
              {"log", rows}}
      .dump();
}

TrainingState state_of(const std::string& text, const std::string& hash) {
  const Json json = Json::parse(text);
  if (json.at("hash") != hash) throw RunError("it belongs to the run " + json.at("hash").get<std::string>());
  TrainingState state;
  state.step = json.at("step");
  state.epoch_loss = json.at("epoch_loss");
  state.ema_pseudo_dice = optional_of(json.at("ema_pseudo_dice"));
  state.best_ema_pseudo_dice = optional_of(json.at("best_ema_pseudo_dice"));
  state.loss_scale = {json.at("loss_scale"), json.at("loss_scale_good_steps")};
  for (const Json& row : json.at("log")) state.rows.push_back(log_row_from_json(row));
  return state;
}

/// As torch::jit::pickle_save, but tensor by tensor into the file: a large network's state does not lie in memory once
/// more.
void write_dictionary(const fs::path& file, const Dictionary& dictionary) {
  std::vector<char> pickled;
  torch::jit::Pickler pickler(
      [&](const char* data, std::size_t size) { pickled.insert(pickled.end(), data, data + size); });
  pickler.protocol();
  pickler.pushIValue(dictionary);
  pickler.stop();
  write_atomically(file, [&](const fs::path& temporary) {
    std::ofstream stream(temporary, std::ios::binary);
    caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, std::size_t size) {
      stream.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
      return size;
    });
    for (std::size_t i = 0; i < pickler.tensorData().size(); ++i) {
      const auto tensor = torch::jit::getWriteableTensorData(pickler.tensorData()[i]);
      writer.writeRecord("data/" + std::to_string(i), tensor.data(), tensor.sizeInBytes());
    }
    writer.writeRecord("data.pkl", pickled.data(), pickled.size());
    writer.writeEndOfFile();
    stream.close();
    if (!stream) throw RunError("cannot write " + file.string() + ": " + std::strerror(errno));
  });
}

/// Opens `file` and lets `use` read it; whatever goes wrong is told with the file's name.
template <class Use>
void with_dictionary(const fs::path& file, Use use) {
  try {
    const std::string bytes = read_file(file);
    use(torch::jit::pickle_load({bytes.begin(), bytes.end()}).toGenericDict());
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const std::exception& error) {
    std::string reason = error.what();
    reason.resize(std::min(reason.find('\n'), reason.size()));
    throw RunError("cannot continue from " + file.string() + ": " + reason + "; repeat the run with --fresh");
  }
}

}  // namespace

void save_checkpoint(const fs::path& file, const Network& network, const torch::optim::Optimizer& optimiser,
                     const TrainingState& state, const std::string& hash) {
  Dictionary dictionary = new_dictionary();
  dictionary.insert(std::string("network_weights"), weights_of(network));
  dictionary.insert(std::string("optimiser_state"), bytes_of(optimiser));
  dictionary.insert(std::string("training_state"), text_of(state, hash));
  write_dictionary(file, dictionary);
}

TrainingState load_checkpoint(const fs::path& file, Network& network, torch::optim::Optimizer& optimiser,
                              const std::string& hash) {
  TrainingState state;
  with_dictionary(file, [&](const Dictionary& dictionary) {
    state = state_of(dictionary.at(std::string("training_state")).toStringRef(), hash);
    fill_optimiser(dictionary.at(std::string("optimiser_state")).toTensor(), optimiser);
    fill_weights(dictionary.at(std::string("network_weights")), network);
  });
  return state;
}

void save_weights(const fs::path& file, const Network& network) {
  Dictionary dictionary = new_dictionary();
  dictionary.insert(std::string("network_weights"), weights_of(network));
  write_dictionary(file, dictionary);
}

void load_weights(const fs::path& file, Network& network) {
  with_dictionary(file, [&](const Dictionary& dictionary) {
    fill_weights(dictionary.at(std::string("network_weights")), network);
  });
}

}  // namespace m3d
