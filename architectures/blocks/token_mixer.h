#pragma once
// Mamba's selective-scan mixer over voxel tokens. ONE mixer: depthwise convolution, scales, scan branches, parameter
// sharing and merge are data (paper: arXiv:2503.19308; originals: nnunetv2/nets/mambaBlock/mamba*.py and
// nets/mamba_MS.py of uakhan17/Mamba3D-MedSeg, each a copy of this with small changes).
#include "architectures/blocks/scan_order.h"

namespace m3d {

/// One pass of the mixer: tokens in some order, convolved, scanned, put back.
struct ScanBranch {
  std::string suffix;  // of this branch's tensors in the original's state: "", "_b", "_c"
  ScanOrder order;
  int sequence_axes = 3;  // trailing axes of the permuted grid that form one sequence; the state is reset between
  std::array<bool, 3> kernel_axes{true, true, true};  // axes of the permuted grid along which a 3D kernel extends
  bool convolve_first = false;                        // convolve in (D, H, W) order, then permute
  bool restore = true;         // false: the output is merged in the branch's own order (released dual DWH)
  std::int64_t kernel = 0;     // width of this branch's convolution where it differs; 0: the mixer's
  std::string A_log = "";      // name of its A_log where it is not "A_log" + suffix
  bool dt_initialised = true;  // false: its dt_proj starts as any linear layer does
};

/// The branches of a `scan` value: single, dual, dual_random, dual_dwh, dual_channel, tri. `dwh_corrected`: the depth
/// branch of dual_dwh goes back to (D, H, W) order before the merge. Throws std::logic_error for another value.
std::vector<ScanBranch> scan_branches(const std::string& scan, bool dwh_corrected);

enum class ScaleFusion {
  sequence,  // the scales' tokens one after the other in one scan, their channels side by side into out_proj (released)
  before_scan  // summed before the activation and the scan (the paper's figure)
};

struct TokenMixerShape {
  std::int64_t d_model = 0, d_inner = 0, d_state = 16, dt_rank = 1;
  bool bias = false, conv_bias = true, inner_layernorms = false;
  double rms_norm_eps = 1e-5;
  bool convolution_3d = true;            // else causal, along the sequence
  std::vector<std::int64_t> kernels{3};  // one a scale
  ScaleFusion fusion = ScaleFusion::sequence;
  std::vector<ScanBranch> branches;
  bool shared_parameters =
      true;                // all branches use the first one's x_proj, dt_proj, A_log, D; the others' exist, unused
  bool mean_merge = true;  // else sum
  RandomOrder random = RandomOrder::fixed;
  std::uint64_t seed = 0;                                             // of random orders
  double dt_min = 1e-3, dt_max = 0.1, dt_scale = 1, dt_floor = 1e-4;  // initialisation of dt_proj, by the Mamba authors
  bool dt_random = true;
  bool checkpointed = false;  // keeps only the tokens for the backward pass and computes the rest again
};

/// Depthwise convolution with SiLU over the tokens of a branch; `weight` is [C, 1, k], [C, 1, k, k] or [C, 1, k, k, k].
class TokenConvolution : public torch::nn::Module {
 public:
  TokenConvolution(std::int64_t channels, std::int64_t kernel, bool causal, const std::array<bool, 3>& axes,
                   bool with_bias);
  /// tokens [B, L, C] on `grid`; `sequence` is the length of one sequence (causal convolutions do not cross it). A 3D
  /// kernel's axes are those of `order` (not random): it does to these tokens what it would do to them in that order.
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid, std::int64_t sequence, bool silu,
                        const ScanOrder& order) const;
  /// The 3D kernel [C, 1, kd, kh, kw], its axes turned to `order`'s.
  torch::Tensor kernel(const ScanOrder& order) const;
  bool causal() const { return causal_; }
  torch::Tensor weight, bias;

 private:
  bool causal_;
  std::array<std::int64_t, 3> kernel_;
};

/// The Mamba authors' own mixer (state-spaces/mamba: mamba_simple.py) of width `d_model`: one causal branch.
/// `dt_rank` 0: d_model / 16, rounded up.
TokenMixerShape plain_mamba(std::int64_t d_model, std::int64_t d_state, std::int64_t d_conv, double expand,
                            std::int64_t dt_rank = 0);

class TokenMixer : public torch::nn::Module {
 public:
  /// Throws UserError where the kernels cannot keep the number of tokens, and for orders drawn anew at every call
  /// where a call would be repeated.
  explicit TokenMixer(const TokenMixerShape& shape);
  /// [B, L, d_model] on `grid` → the same shape.
  torch::Tensor forward(const torch::Tensor& tokens, const Grid& grid);

  /// State-space parameters as the Mamba authors start them (S4D-real A, D = 1); with `dt`, dt_proj too, so that
  /// softplus(bias) is log-uniform in [dt_min, dt_max]. `name` is the mixer's place in the network.
  void initialise(const ParameterRandom& random, const std::string& name, bool dt);
  const TokenMixerShape& shape() const { return shape_; }

 private:
  struct Branch {
    torch::Tensor A_log, D;
    std::vector<std::shared_ptr<TokenConvolution>> convolutions;
    std::shared_ptr<Linear> x_proj, dt_proj;
  };
  void register_branch(std::size_t index);
  torch::Tensor mix(const torch::Tensor& tokens, const Grid& grid);
  std::pair<torch::Tensor, torch::Tensor> projected(const torch::Tensor& tokens) const;
  torch::Tensor merged_product(const torch::Tensor& merged) const;
  torch::Tensor run_branch(std::size_t index, const torch::Tensor& x, const torch::Tensor& z, const Grid& grid);
  bool scans_in_place(const ScanBranch& spec) const;
  bool gates_together() const;
  static torch::Tensor convolve_scales(const Branch& branch, const torch::Tensor& x, const Grid& grid,
                                       std::int64_t sequence, bool silu, const ScanOrder& turned);
  torch::Tensor convolve(std::size_t index, const torch::Tensor& x, const Grid& grid, const TokenPermutation* order);
  torch::Tensor scan(const Branch& parameters, const torch::Tensor& u, const torch::Tensor& gate,
                     const std::optional<torch::Tensor>& order);

  TokenMixerShape shape_;
  std::vector<Branch> branches_;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  std::shared_ptr<RmsNorm> dt_layernorm_, B_layernorm_, C_layernorm_;
  torch::Tensor calls_;  // how often a per_call order was drawn: state, so that a resumed run draws the same ones
};

/// The option of every network with such mixers: TokenMixerShape::checkpointed.
inline constexpr const char* kCheckpointMixers = "checkpoint_mixers";
inline constexpr const char* kCheckpointMixersDescription =
    "compute the inside of every Mamba layer again in the backward pass instead of keeping it: less memory, more time";

/// x + mixer(norm(x)), `depth` times: layers.<i>.mixer, layers.<i>.norm.
class MambaStack : public TokenStack {
 public:
  MambaStack(const TokenMixerShape& shape, std::int64_t depth);
  torch::Tensor forward(torch::Tensor tokens, const Grid& grid) override;

 private:
  std::vector<std::shared_ptr<TokenMixer>> mixers_;
  std::vector<std::shared_ptr<RmsNorm>> norms_;
};

}  // namespace m3d
