// The smallest network that m3d-bench can compare: copy this folder to architectures/, rename it, and change it.
#include "architectures/blocks/initialise.h"
#include "architectures/record_config.h"
#include "architectures/record_forms.h"

namespace m3d {
namespace {

/// image [B, C, D, H, W] → convolution, normalisation, activation → logits [B, K, D, H, W].
class TwoConvolutions : public Network {
 public:
  TwoConvolutions(const NetworkInput& input, std::int64_t width) {
    features_ = register_module(
        "features",
        std::make_shared<ConvolutionBlock>(cubic_convolution(input.channels, width, 3, 1, false), ConvolutionStyle{}));
    head_ = register_module("head", std::make_shared<Convolution>(cubic_convolution(width, input.classes, 1, 1, true)));
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& image) override { return forward_all(image); }
  std::vector<torch::Tensor> forward_all(const torch::Tensor& image) override {
    return {head_->forward(features_->forward(image))};
  }

 private:
  std::shared_ptr<ConvolutionBlock> features_;
  std::shared_ptr<Convolution> head_;
};

/// For `verify`: a reference record named two_convolutions with {"in_channels", "num_classes", "width"} as its config.
std::optional<RecordForm> record_form(const std::string& name, const Json& given) {
  if (name != "two_convolutions") return std::nullopt;
  RecordConfig config(given);
  RecordForm form{name, {config.get("in_channels", 1), config.get("num_classes", 2), {}}, Json::object()};
  config.copy("width", form.options);
  config.require_all_used();
  return form;
}

}  // namespace

void register_two_convolutions();
void register_two_convolutions() {
  Architecture architecture;
  architecture.name = "two_convolutions";
  architecture.title = "Two convolutions";
  architecture.family = "control";
  architecture.paper = "none: an example";
  architecture.source = "m3d-bench: scripts/examples/two_convolutions";
  architecture.options = OptionSchema("option of two_convolutions",
                                      {{"width", OptionType::integer, 16, "channels between the convolutions", {}, 1}});
  architecture.reduced = {{"width", 4}};
  architecture.reduced_patch = {4, 8, 12};
  architecture.widths = {{"width", 1}};
  architecture.divisors = [](const Json&) { return std::array<std::int64_t, 3>{1, 1, 1}; };
  architecture.build = [](const NetworkInput& input, const Json& options, std::uint64_t seed) {
    auto network = std::make_shared<TwoConvolutions>(input, options.at("width"));
    initialise_as_pytorch(*network, ParameterRandom(seed));
    return network;
  };
  register_architecture(architecture);
  register_record_forms(record_form);
}

}  // namespace m3d
