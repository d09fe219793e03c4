#pragma once
// SegMamba's options and what they mean for its blocks (arXiv:2401.13560).
#include "architectures/blocks/unetr_blocks.h"
#include "architectures/registry.h"
#include "architectures/segmamba/segmamba_blocks.h"

namespace m3d {

/// Defaults are the released code's.
OptionSchema segmamba_schema(const std::string& kind);

/// Lists have an entry for each of the four stages.
struct SegmambaConfig {
  std::vector<std::int64_t> depths, widths, slices;
  std::int64_t hidden_size = 768;
  UnetrStyle style;
  bool mixer = true;
  ToMShape tom;  // dim and slices are set stage by stage
  bool gsc = true, gsc_paper = false, gsc_each_layer = false;
  bool mlp_in_layers = false;  // with norm and residual after each mixer; else on the way to the skip
  bool fue = false;

  ToMShape tom_of(std::size_t stage) const;
};

SegmambaConfig segmamba_config(const Json& options);

}  // namespace m3d
