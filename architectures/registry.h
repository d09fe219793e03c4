#pragma once
// The registry of architectures. A family registers itself from its own folder; nothing else names it.
#include <torch/torch.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/option_schema.h"

namespace m3d {

/// What a network is built for. `patch` is [D, H, W] in voxels; `classes` counts the output channels (background
/// included for softmax targets, the regions for region-based ones).
struct NetworkInput {
  std::int64_t channels = 1;
  std::int64_t classes = 2;
  std::array<std::int64_t, 3> patch{};
};

/// A segmentation network.
class Network : public torch::nn::Module {
 public:
  /// `image` [B, C, D, H, W] → logits [B, K, d, h, w]: the full resolution first, then, where the network has deep
  /// supervision and is in training mode, the coarser ones in descending resolution.
  virtual std::vector<torch::Tensor> forward(const torch::Tensor& image) = 0;
  /// All outputs in the order of the original's tuple, whatever the mode (reference records are written in that order).
  virtual std::vector<torch::Tensor> forward_all(const torch::Tensor& image) = 0;
};

/// One scan order that a network really uses: `permutation[i]` is the row-major (D, H, W) token read at position i.
struct ScanOrderUse {
  std::string name;
  std::array<std::int64_t, 3> grid{};
  std::vector<std::int64_t> permutation;
};

/// An option, an integer or a list of them, that says how many channels there are.
struct WidthOption {
  std::string name;
  std::int64_t multiple = 1;                 // that each of them must be of
  std::vector<std::int64_t> multiples = {};  // entry by entry, where they differ
  std::int64_t multiple_of(std::size_t entry) const { return multiples.empty() ? multiple : multiples.at(entry); }
};

struct Architecture {
  std::string name;    // "ulike_mamba_3d"
  std::string title;   // as papers print it: "UlikeMamba_3d"
  std::string family;  // colour group in figures: "cnn", "transformer", "mamba", "control"
  std::string paper;   // citation in one line
  std::string source;  // repository and file of the original
  std::string bibtex;
  OptionSchema options;
  /// Options (not resolved) of a small form of the same network, for tests and for runs in reduced width: trains on two
  /// cores in seconds.
  Json reduced = Json::object();
  /// A patch [D, H, W] for that form, no cube where the network allows; zeros: the divisors, twice along W.
  std::array<std::int64_t, 3> reduced_patch{};
  /// Together they scale the network (architectures/width.h).
  std::vector<WidthOption> widths = {};
  /// Other names under which the original's state lists the same tensors: (regular expression, replacement) turns them
  /// into the first name.
  std::vector<std::pair<std::string, std::string>> state_aliases = {};
  /// Parts of the names of parameters that the original holds and never uses.
  std::vector<std::string> unused_parameters = {};
  /// Divisors that each axis of the input [D, H, W] must have, for resolved options.
  std::function<std::array<std::int64_t, 3>(const Json& options)> divisors;
  /// Number of outputs in training (1 + deep-supervision heads); may be left out where there is one.
  std::function<int(const Json& options)> outputs;
  /// Builds and initialises the network; all random numbers follow from `seed`. Throws UserError where options
  /// contradict each other or the patch does not fit (saying which sizes do).
  std::function<std::shared_ptr<Network>(const NetworkInput&, const Json& options, std::uint64_t seed)> build;
  /// The scan orders used by the first stage on `grid` [D, H, W] tokens, for the diagrams; may be left out where
  /// nothing is scanned.
  std::function<std::vector<ScanOrderUse>(const Json& options, const std::array<std::int64_t, 3>& grid,
                                          std::uint64_t seed)>
      scan_orders;
};

/// From here on the functions above take options that leave some out. Throws std::logic_error for a known name.
void register_architecture(Architecture architecture);
/// Throws UserError with the nearest valid name.
const Architecture& find_architecture(const std::string& name);
/// In natural order.
std::vector<std::string> architecture_names();

}  // namespace m3d
