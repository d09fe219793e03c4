// The Ulike family: published costs, every point of every axis, scan orders, bad options.
#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "architectures/blocks/token_mixer.h"
#include "architectures/macs.h"
#include "architectures/record_forms.h"
#include "common/atomic_file.h"
#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

const NetworkInput kPatch{1, 2, {16, 32, 64}};

Json options_with(const Json& changes, const std::string& name = "ulike_mamba_3d") {
  torch::set_num_threads(1);  // so small that a second thread only waits
  Json given = {{"encoder_embed_dims", {8, 8, 16, 16}},
                {"stem_channels", 8},
                {"depths_en", {1, 1, 1, 1}},
                {"depths", {1, 1, 1}},
                {"d_state", 2},
                {"encoder_num_heads", {1, 1, 2, 2}},
                {"decoder_num_heads", {2, 1, 1}},
                {"encoder_sr_ratios", {2, 2, 1, 1}},
                {"decoder_sr_ratios", {1, 2, 2}}};
  for (const auto& [key, value] : changes.items()) given[key] = value;
  return find_architecture(name).options.resolve(given, [](const std::string& key) { return key; });
}

torch::Tensor output_of(const Json& changes, std::uint64_t seed = 1) {
  torch::manual_seed(5);
  const auto network = find_architecture("ulike_mamba_3d").build(kPatch, options_with(changes), seed);
  network->eval();
  const torch::NoGradGuard no_grad;
  return network->forward(torch::randn({1, 1, 16, 32, 64}))[0];
}

bool same(const Json& a, const Json& b) { return torch::equal(output_of(a), output_of(b)); }

std::filesystem::path reference(const std::string& file) {
  const char* root = std::getenv("M3D_REFERENCE");
  return (root ? std::filesystem::path(root) : std::filesystem::path(M3D_SOURCE_DIR) / "../shared/reference") / file;
}

}  // namespace

TEST_CASE("costs of all Ulike networks at 128 cubed", "[macs]") {
  const auto file = reference("costs_ulike.json");
  if (!std::filesystem::exists(file)) {
    WARN("no reference folder: " << file);
    return;
  }
  const Json rows = Json::parse(read_file(file)).at("rows");
  REQUIRE(rows.size() >= 18);
  for (const auto& row : rows) {
    const std::string name = row.at("architecture");
    INFO(name);
    const auto shape = row.at("input_shape").get<std::vector<std::int64_t>>();
    const Json config = {
        {"img_size", {shape[2], shape[3], shape[4]}}, {"in_chans", shape[1]}, {"num_classes", row.at("num_classes")}};
    const auto form = find_record_form(name, config);
    REQUIRE(form);
    const Architecture& architecture = find_architecture(form->architecture);
    const MacCounts counts = count_macs(architecture, form->input, form->options);
    CHECK(counts.convolution == row.at("macs_conv").get<std::int64_t>());
    CHECK(counts.linear + counts.attention == row.at("macs_linear_and_attention").get<std::int64_t>());
    CHECK(counts.scan_state_updates == row.at("scan_state_updates").get<std::int64_t>());
    CHECK(counts.scan == 3 * counts.scan_state_updates);
    const double millions = static_cast<double>(count_parameters(architecture, form->input, form->options)) / 1e6;
    CHECK(std::abs(millions - row.at("parameters_m").get<double>()) <= 0.0005);
  }
}

TEST_CASE("registered names are the paper's form", "[macs]") {
  for (const auto& [name, parameters] : {std::pair{"ulike_mamba_3d", 24.303}, std::pair{"ulike_mamba_3dmt", 39.364},
                                         std::pair{"ulike_mamba_1d", 24.098}, std::pair{"ulike_trans_sra", 45.048}}) {
    const Architecture& architecture = find_architecture(name);
    const Json options = architecture.options.resolve(Json::object(), [](const std::string& key) { return key; });
    CHECK(std::abs(count_parameters(architecture, {1, 16, {128, 128, 128}}, options) / 1e6 - parameters) <= 0.0005);
  }
}

TEST_CASE("every point of every axis runs and trains", "[ulike]") {
  const std::vector<Json> points = {
      {{"dwconv", "1d"}},
      {{"dwconv", "1d"}, {"scan", "tri"}, {"multiscale", "msv4"}},
      {{"scan", "dual"}},
      {{"scan", "dual"}, {"merge", "sum"}, {"ssm_parameters", "per_direction"}},
      {{"scan", "dual_random"}},
      {{"scan", "dual_random"}, {"random_order", "per_call"}},
      {{"scan", "dual_dwh"}},
      {{"scan", "dual_dwh"}, {"dwh_order", "corrected"}, {"dwconv", "1d"}},
      {{"scan", "tri"}, {"inner_layernorms", true}, {"bias", true}},
      {{"multiscale", "msv1"}},
      {{"multiscale", "msv2"}},
      {{"multiscale", "msv3"}},
      {{"multiscale", "msv4"}, {"scan", "tri"}},
      {{"multiscale", "msv4"}, {"scan", "dual_dwh"}},
      {{"multiscale", "msv4"}, {"msv4_fusion", "before_scan"}},
      {{"mixer", "sra"}, {"multiscale", "msv1"}},
      {{"mixer", "attention"}, {"encoder_sr_ratios", Json::array()}, {"decoder_sr_ratios", Json::array()}},
      {{"mixer", "none"}},
      {{"sc_en", {"M", "T", "N", "M"}}, {"sc", {"T", "M", "N"}}},
      {{"decoder", "released"}, {"norm_cfg", "BN"}, {"activation_cfg", "ReLU"}, {"weight_std", true}},
      {{"more_conv_en", true}, {"more_conv_de", true}, {"deep_supervision", false}, {"initialisation", "mamba"}}};
  const auto image = torch::randn({1, 1, 16, 32, 64}, torch::make_generator<at::CPUGeneratorImpl>(7));
  for (const auto& point : points) {
    INFO(point.dump());
    const auto network = find_architecture("ulike_mamba_3d").build(kPatch, options_with(point), 1);
    const auto output = network->forward(image)[0];
    CHECK(output.sizes() == torch::IntArrayRef{1, 2, 16, 32, 64});
    output.square().mean().backward();
    for (const auto& parameter : network->parameters())
      if (parameter.grad().defined()) CHECK(torch::isfinite(parameter.grad()).all().item<bool>());
  }
}

TEST_CASE("disagreements between code and paper change the result, and what is the same stays the same", "[ulike]") {
  CHECK(same({{"scan", "dual"}}, {{"scan", "dual_channel"}}));
  CHECK_FALSE(same({{"scan", "dual"}}, {{"scan", "single"}}));
  CHECK_FALSE(same({{"scan", "dual"}}, {{"scan", "dual"}, {"merge", "sum"}}));
  CHECK_FALSE(same({{"scan", "tri"}}, {{"scan", "tri"}, {"ssm_parameters", "per_direction"}}));
  CHECK_FALSE(same({{"scan", "dual_dwh"}}, {{"scan", "dual_dwh"}, {"dwh_order", "corrected"}}));
  CHECK_FALSE(same({{"multiscale", "msv4"}}, {{"multiscale", "msv4"}, {"msv4_fusion", "before_scan"}}));
  CHECK_FALSE(same(Json::object(), {{"decoder", "released"}}));
  CHECK_FALSE(same(Json::object(), {{"initialisation", "mamba"}}));
}

TEST_CASE("random scan orders follow from the seed; a fresh one at every call only on request", "[ulike]") {
  CHECK(same({{"scan", "dual_random"}}, {{"scan", "dual_random"}}));
  for (const bool fresh : {false, true}) {
    const Json options = options_with({{"scan", "dual_random"}, {"random_order", fresh ? "per_call" : "fixed"}});
    const auto network = find_architecture("ulike_mamba_3d").build(kPatch, options, 1);
    network->eval();
    const torch::NoGradGuard no_grad;
    const auto image = torch::ones({1, 1, 16, 32, 64});
    CHECK(torch::equal(network->forward(image)[0], network->forward(image)[0]) == !fresh);
  }
}

TEST_CASE("scan orders are permutations, the ones that networks use", "[ulike]") {
  const Architecture& architecture = find_architecture("ulike_mamba_3d");
  const Grid grid{2, 3, 4};
  for (const std::string scan : {"single", "dual", "dual_random", "dual_dwh", "tri"}) {
    const auto orders = architecture.scan_orders(options_with({{"scan", scan}}), grid, 1);
    REQUIRE_FALSE(orders.empty());
    for (const auto& order : orders) {
      auto sorted = order.permutation;
      std::sort(sorted.begin(), sorted.end());
      std::vector<std::int64_t> all(24);
      std::iota(all.begin(), all.end(), 0);
      CHECK(sorted == all);
    }
  }
  const auto tri = architecture.scan_orders(options_with({{"scan", "tri"}}), grid, 1);
  REQUIRE(tri.size() == 3);
  CHECK(std::vector<std::int64_t>(tri[1].permutation.begin(), tri[1].permutation.begin() + 4) ==
        std::vector<std::int64_t>{0, 4, 8, 1});
  CHECK(std::vector<std::int64_t>(tri[2].permutation.begin(), tri[2].permutation.begin() + 3) ==
        std::vector<std::int64_t>{0, 12, 1});
  CHECK(architecture.scan_orders(options_with({{"mixer", "sra"}}), grid, 1).empty());
}

TEST_CASE("gathering by an order has the inverse gather as gradient", "[ulike]") {
  const auto order = token_permutation(scan_order("hwd"), {2, 3, 4}, RandomOrder::fixed, 0, 0);
  const auto tokens = torch::randn({2, 24, 5}, torch::kFloat64).requires_grad_();
  const auto weights = torch::randn({2, 24, 5}, torch::kFloat64);
  const auto gathered = gather_tokens(tokens, *order);
  CHECK(torch::equal(gathered, tokens.index_select(1, order->forward)));
  CHECK(torch::equal(gather_tokens(gathered, order->inverted()), tokens));
  (gathered * weights).sum().backward();
  CHECK(torch::equal(tokens.grad(), weights.index_select(1, order->inverse)));
}

TEST_CASE("networks that share a tensor start from the same values", "[ulike]") {
  const Architecture& architecture = find_architecture("ulike_mamba_3d");
  const auto single = architecture.build(kPatch, options_with({{"scan", "single"}}), 11)->named_parameters();
  const auto tri = architecture.build(kPatch, options_with({{"scan", "tri"}}), 11)->named_parameters();
  for (const auto& parameter : single) CHECK(torch::equal(parameter.value(), tri[parameter.key()]));
}

TEST_CASE("options and patches that cannot be are refused with what to do", "[ulike]") {
  const Architecture& architecture = find_architecture("ulike_mamba_3d");
  const auto build = [&](const NetworkInput& input, const Json& changes) {
    architecture.build(input, options_with(changes), 1);
  };
  CHECK_THROWS_WITH(build({1, 2, {16, 32, 40}}, Json::object()), Catch::Contains("[16,32,32]"));
  CHECK_THROWS_WITH(build({1, 2, {16, 32, 32}}, Json::object()), Catch::Contains("more than one voxel"));
  CHECK_THROWS_WITH(build(kPatch, {{"mixer", "sra"}, {"multiscale", "msv4"}}), Catch::Contains("msv3"));
  CHECK_THROWS_WITH(build(kPatch, {{"decoder_embed_dims", {9, 8, 8, 8}}}), Catch::Contains("in reverse"));
  CHECK_THROWS_WITH(build(kPatch, {{"mixer", "sra"}, {"encoder_num_heads", {3, 1, 1, 1}}}), Catch::Contains("heads"));
  CHECK_THROWS_WITH(build(kPatch, {{"d_conv", 4}}), Catch::Contains("odd"));
  CHECK_THROWS_WITH(build(kPatch, {{"depths", {1, 1}}}), Catch::Contains("3 values"));
  const auto network = architecture.build(kPatch, options_with(Json::object()), 1);
  CHECK_THROWS_AS(network->forward(torch::zeros({1, 1, 32, 32, 64})), UserError);
  CHECK_NOTHROW(architecture.build({1, 2, {18, 36, 44}}, options_with({{"decoder", "released"}}), 1)
                    ->forward(torch::zeros({1, 1, 18, 36, 44})));
}
