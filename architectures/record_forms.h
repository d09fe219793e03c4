#pragma once
// How reference records name what a family can build: whole networks under other names and in the recorder's words, and
// single blocks. A family registers its translations beside its architectures; `verify` knows no family.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "architectures/registry.h"

namespace m3d {

/// A record's `config`, translated: build `architecture` for `input` with `options` (others have their defaults).
/// A config that names no patch leaves `input.patch` zero: the record's input_shape takes its place.
struct RecordForm {
  std::string architecture;
  NetworkInput input;
  Json options;
};

/// A block on its own. `module`'s state has the original's names and order; `forward` gives the original's outputs.
/// `second_input_shape` is empty where the block has one input.
struct RecordBlock {
  std::shared_ptr<torch::nn::Module> module;
  std::function<std::vector<torch::Tensor>(const std::vector<torch::Tensor>& inputs)> forward;
  std::vector<std::int64_t> second_input_shape = {};
};

/// A block with one input and one output.
template <class Module>
RecordBlock one_input_block(std::shared_ptr<Module> module) {
  return {module, [module](const std::vector<torch::Tensor>& inputs) {
            return std::vector<torch::Tensor>{module->forward(inputs[0])};
          }};
}

/// Both throw UserError for a config key or value that they do not know, and return nothing for a name they do not
/// know.
using RecordFormFunction = std::function<std::optional<RecordForm>(const std::string& name, const Json& config)>;
using RecordBlockFunction = std::function<std::optional<RecordBlock>(const std::string& name, const Json& config)>;

void register_record_forms(RecordFormFunction translate);
void register_record_blocks(RecordBlockFunction build);

/// Asks the families in turn; nothing where none of them knows the name. A form's options are complete.
std::optional<RecordForm> find_record_form(const std::string& name, const Json& config);
std::optional<RecordBlock> find_record_block(const std::string& name, const Json& config);

}  // namespace m3d
