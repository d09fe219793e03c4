#include "architectures/mednext/mednext_options.h"

#include <map>

#include "common/error.h"

namespace m3d {
namespace {

using enum OptionType;

NineStages nine(const Json& options, const char* name) {
  auto values = options.at(name).get<std::vector<std::int64_t>>();
  if (values.empty()) values = mednext_size(options.at("size")).at(name).get<std::vector<std::int64_t>>();
  if (values.size() == 1) values.resize(9, values[0]);
  if (values.size() != 9)
    throw UserError("option '" + std::string(name) + "' needs 9 values (or one for all), got " +
                    std::to_string(values.size()));
  NineStages all{};
  std::copy(values.begin(), values.end(), all.begin());
  return all;
}

std::int64_t kernel_of(const Json& options, const char* name) {
  const std::int64_t both = options.at("kernel_size"), own = options.at(name), kernel = both ? both : own;
  if (kernel % 2 == 1) return kernel;
  throw UserError(kernel == 0 ? "without kernel_size (0) the option '" + std::string(name) + "' is needed"
                              : "MedNeXt's kernel sizes must be odd, got " + std::to_string(kernel));
}

}  // namespace

const Json& mednext_size(const std::string& size) {
  static const std::map<std::string, Json> sizes = {
      {"S", {{"exp_r", {2}}, {"block_counts", {2}}}},
      {"B", {{"exp_r", {2, 3, 4, 4, 4, 4, 4, 3, 2}}, {"block_counts", {2}}}},
      {"M", {{"exp_r", {2, 3, 4, 4, 4, 4, 4, 3, 2}}, {"block_counts", {3, 4, 4, 4, 4, 4, 4, 4, 3}}}},
      {"L", {{"exp_r", {3, 4, 8, 8, 8, 8, 8, 4, 3}}, {"block_counts", {3, 4, 8, 8, 8, 8, 8, 4, 3}}}}};
  return sizes.at(size);
}

OptionSchema mednext_schema(const std::string& kind, std::int64_t kernel_size) {
  return OptionSchema(
      kind,
      {{"size", string, "M", "the original's presets of exp_r and block_counts", {"S", "B", "M", "L"}},
       {"n_channels", integer, 32, "width at full resolution; doubled by every halving", {}, 1},
       {"exp_r",
        integer_list,
        Json::array(),
        "expansion of the blocks, nine stages; one value: of all; empty: by size",
        {},
        1},
       {"block_counts",
        integer_list,
        Json::array(),
        "blocks of the nine stages; one value: of all; empty: by size",
        {},
        0},
       {"kernel_size",
        integer,
        kernel_size,
        "edge of the depthwise kernels; 0: enc_kernel_size and dec_kernel_size",
        {},
        0},
       {"enc_kernel_size", integer, 0, "that of the encoder, where kernel_size is 0", {}, 0},
       {"dec_kernel_size", integer, 0, "that of bottleneck and decoder, where kernel_size is 0", {}, 0},
       {"do_res", boolean, true, "residual connection around every block"},
       {"do_res_up_down", boolean, true, "strided 1x1x1 residual around every down and up block"},
       {"norm_type",
        string,
        "group",
        "norm after the depthwise convolution: a group a channel, or over the channels",
        {"group", "layer"}},
       {"dim", string, "3d", "3D, or 2D over the axial slices", {"2d", "3d"}},
       {"grn", boolean, false, "global response normalisation (not in down_0)"},
       {"checkpoint_style",
        string,
        "none",
        "outside_block: blocks are computed again in the backward pass, which saves memory (as the original does for M "
        "and L)",
        {"none", "outside_block"}},
       {"deep_supervision", boolean, true, "four coarser outputs in training"}});
}

MednextConfig mednext_config(const Json& options) {
  MednextConfig config;
  config.dimensions = options.at("dim") == "2d" ? 2 : 3;
  config.channels = options.at("n_channels");
  config.expansion = nine(options, "exp_r"), config.block_counts = nine(options, "block_counts");
  config.encoder_kernel = kernel_of(options, "enc_kernel_size");
  config.decoder_kernel = kernel_of(options, "dec_kernel_size");
  config.residual = options.at("do_res"), config.residual_resampling = options.at("do_res_up_down");
  config.grn = options.at("grn"), config.layer_norm = options.at("norm_type") == "layer";
  config.deep_supervision = options.at("deep_supervision");
  config.checkpointed = options.at("checkpoint_style") == "outside_block";
  return config;
}

}  // namespace m3d
