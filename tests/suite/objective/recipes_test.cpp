// Every delivered recipe against the record of its optimiser and of its schedule.
#include <torch/torch.h>

#include <map>

#include "ablations/run_config.h"
#include "ablations/suite.h"
#include "common/atomic_file.h"
#include "suite/objective/optimiser.h"
#include "suite/train/settings.h"
#include "suite/verify/record_values.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

/// What a recipe must agree with: entries of the record's `schedules` and `quadratic`.
struct Expectation {
  std::string schedule, updates;
  std::int64_t epochs;
};

const std::map<std::string, Expectation> kExpectations = {
    {"nnunet_sgd", {"nnunet_poly_lr0.01_1000ep", "sgd_nesterov_lr0.01_mom0.99_wd3e-5_constant", 1000}},
    {"segmamba", {"segmamba_poly_per_iteration_lr0.01_250000it", "sgd_nesterov_lr0.01_mom0.99_wd3e-5_constant", 1000}},
    {"taming_paper", {"paper003_linear_lr0.0003_300ep", "radam_lr3e-4_wd3e-5_constant", 300}},
    {"taming_multisegmamba", {"tamingmambas_repo_onecycle_lr0.0003_300ep", "radam_lr3e-4_wd3e-5_constant", 300}},
    {"taming_segmamba", {"tamingmambas_repo_cosine_T100_eta5e-6_lr0.0003", "radam_lr3e-4_wd3e-5_constant", 1000}},
    {"taming_pansegmamba", {"tamingmambas_repo_cosine_T100_eta5e-6_lr0.0003", "radam_lr3e-4_wd3e-5_constant", 300}},
    // The record decays by 1e-5; the released trainer by nnU-Net's 3e-5. Its schedule is nnU-Net's, a hundredth as
    // high.
    {"ulike_adamw", {"nnunet_poly_lr0.01_1000ep", "adamw_lr1e-4_wd1e-5_constant", 1000}},
};

Json record() {
  return Json::parse(read_file(std::filesystem::path(M3D_SOURCE_DIR) / "tests/records/pipeline/optim.json"));
}

Json settings_of(const std::string& recipe) {
  Json flat = Json::object();
  for (const auto& [name, placed] : load_recipe(recipe, "test").settings) flat[name] = placed.value;
  return nest_settings(settings_schema().resolve(flat, [](const std::string&) { return "test"; }));
}

void check_schedule(const Json& settings, const Json& schedule, double scale) {
  const TrainSettings train = read_settings(settings).train;
  const bool by_step = settings["train"]["schedule_by"] == "step";
  for (const Json& point : schedule.at("values")) {
    const std::int64_t step = point[0].get<std::int64_t>() * (by_step ? 1 : train.iterations_per_epoch);
    const double expected = scale * point[1].get<double>();
    INFO("at " << point.dump());
    for (const std::int64_t later : {std::int64_t{0}, by_step ? 0 : train.iterations_per_epoch - 1})
      CHECK(learning_rate_at(settings["train"], step + later, train.total_steps(), train.iterations_per_epoch) ==
            Approx(expected).epsilon(1e-12));
  }
}

/// Half the sum of a (p - b)², from the record's p0, with the recipe's optimiser.
void check_updates(const Json& train, const Json& quadratic, const std::string& name, double gradient_factor = 1) {
  const auto named = [](const std::string& values) { return named_tensor(values, {6}); };
  const torch::Tensor factors = 1 + 4 * named("quad_a").abs(), minimum = named("quad_b");
  const torch::Tensor parameter = (2 * named("quad_p0")).requires_grad_();
  const auto optimiser = make_optimiser(train, {parameter});
  for (const Json& expected : quadratic.at(name)) {
    optimiser->zero_grad();
    (gradient_factor * 0.5 * (factors * (parameter - minimum).square()).sum()).backward();
    clip_gradient_norm({parameter}, train.at("gradient_clip").get<double>());
    optimiser->step();
    for (std::int64_t i = 0; i < 6; ++i)
      CHECK(parameter[i].item<double>() ==
            Approx(expected.at("param_after").at(static_cast<std::size_t>(i)).get<double>()).margin(1e-12));
  }
}

}  // namespace

TEST_CASE("every delivered recipe has its optimiser's and its schedule's record", "[recipes]") {
  for (const std::string& name : recipe_names()) {
    if (name == "phantom_quick") continue;  // ours: nothing to agree with
    INFO(name);
    REQUIRE(kExpectations.contains(name));
    CHECK(load_recipe(name, "test").name == name);
    CHECK_FALSE(load_recipe(name, "test").source.empty());
    const Expectation& expected = kExpectations.at(name);
    Json settings = settings_of(name);
    CHECK(settings["train"]["epochs"] == expected.epochs);
    CHECK(settings["train"]["iterations_per_epoch"] == 250);
    CHECK(settings["train"]["validation_iterations"] == 50);
    CHECK(settings["train"]["gradient_clip"] == 12.0);
    CHECK(settings["train"]["weight_decay"] == 3e-5);
    CHECK(settings["data"]["foreground_fraction"] == 0.33);
    const bool is_ulike = name == "ulike_adamw";
    check_schedule(settings, record().at("schedules").at(expected.schedule), is_ulike ? 0.01 : 1);
    if (is_ulike) settings["train"]["weight_decay"] = 1e-5;
    check_updates(settings["train"], record().at("quadratic"), expected.updates);
  }
}

TEST_CASE("nnU-Net's recipe clips long gradients as the record does", "[recipes]") {
  check_updates(settings_of("nnunet_sgd")["train"], record().at("quadratic"), "sgd_nesterov_clip12_gradients_x20", 20);
}

// Values of torch 2.12: OneCycleLR(RAdam, max_lr=3e-4, total_steps=300, pct_start=0.1, final_div_factor=1e8).
TEST_CASE("beta1 moves against a one-cycle learning rate", "[recipes]") {
  const Json train = settings_of("taming_multisegmamba")["train"];
  const auto at_epoch = [&](std::int64_t epoch) { return *beta1_at(train, 250 * epoch, 300 * 250, 250); };
  const std::map<std::int64_t, double> expected = {{0, 0.95},
                                                   {1, 0.9497068978577179},
                                                   {5, 0.9428428588083794},
                                                   {10, 0.9234204220349895},
                                                   {28, 0.850293102142282},
                                                   {29, 0.85},
                                                   {30, 0.8500033845998118},
                                                   {150, 0.8918911038447216},
                                                   {298, 0.9499966154001881},
                                                   {299, 0.95}};
  for (const auto& [epoch, beta1] : expected) CHECK(at_epoch(epoch) == Approx(beta1).epsilon(1e-12));
  CHECK_FALSE(beta1_at(settings_of("taming_paper")["train"], 0, 75000, 250));
  const torch::Tensor parameter = torch::zeros({1}).requires_grad_();
  const auto radam = make_optimiser(train, {parameter});
  set_beta1(*radam, 0.87);
  CHECK(static_cast<torch::optim::AdamWOptions&>(radam->param_groups()[0].options()).betas() ==
        std::make_tuple(0.87, 0.999));
  const auto sgd = make_optimiser({{"optimiser", "sgd"}}, {parameter});
  CHECK_THROWS_AS(set_beta1(*sgd, 0.9), std::invalid_argument);
}
