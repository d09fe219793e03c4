#pragma once
// Weights in other programs' files: safetensors, and PyTorch's state dictionaries (.pt, .pth; the zip form and the one
// before PyTorch 1.6). Reading never runs anything that a file names: a pickle's classes and functions other than those
// that make up tensors and dictionaries become inert placeholders.
#include <filesystem>
#include <string>

#include "architectures/network_state.h"

namespace m3d {

/// What a file holds. In a PyTorch file tensors that share memory still do.
struct StateFile {
  std::string format;    // "safetensors" | "pytorch" | "pytorch (legacy)"
  std::string place;     // keys that lead to the tensors within the file: "network_weights"; empty: the file itself
  NamedTensors tensors;  // in the file's order, on the CPU, in the file's types
};

/// Recognises the format by its content. The tensors are those of the outermost dictionary that holds tensors, looking
/// first under network_weights (nnU-Net), state_dict, model_state_dict, model; `place` ("a.b") names another one.
/// Throws UserError, naming the file, for one that is damaged, of another kind or without tensors there.
StateFile read_state_file(const std::filesystem::path& file, const std::string& place = "");

/// By the ending: .safetensors, or .pt / .pth (a plain dictionary that torch.load(weights_only=True) reads).
/// Atomically. Throws UserError for another ending.
void write_state_file(const std::filesystem::path& file, const NamedTensors& tensors);

}  // namespace m3d
