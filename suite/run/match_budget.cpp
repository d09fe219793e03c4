#include "suite/run/match_budget.h"

#include <memory>

#include "architectures/macs.h"
#include "suite/run/planned_inputs.h"

namespace m3d {
namespace {

class BudgetMatcher {
 public:
  BudgetMatcher(Budget budget, const DataRoots& roots) : budget_(budget), inputs_(roots) {}

  void match(RunConfig& run, const RunConfig& like) {
    const std::int64_t target = target_of(like);
    const NetworkRequest request = inputs_.of(run);
    const auto [entry, is_new] = known_.try_emplace(network_key(run, request) + " like " + std::to_string(target));
    const Architecture& architecture = find_architecture(run.architecture);
    if (is_new) entry->second = match_width(architecture, request.model, request.input, budget_, target);
    for (const WidthOption& width : architecture.widths)  // what the plan decides stays the plan's
      run.model[width.name] = entry->second.options.at(width.name);
    run.match = {{"budget", budget_ == Budget::parameters ? "parameters" : "macs"},
                 {"like", like.architecture},
                 {"target", target},
                 {"reached", entry->second.reached}};
  }

 private:
  std::int64_t target_of(const RunConfig& like) {
    const NetworkRequest request = inputs_.of(like);
    const auto [entry, is_new] = targets_.try_emplace(network_key(like, request));
    if (is_new) entry->second = cost_of(budget_, find_architecture(like.architecture), request.input, request.model);
    return entry->second;
  }

  Budget budget_;
  PlannedInputs inputs_;
  std::map<std::string, std::int64_t> targets_;
  std::map<std::string, WidthMatch> known_;
};

}  // namespace

std::int64_t cost_of(Budget budget, const Architecture& architecture, const NetworkInput& input, const Json& model) {
  return budget == Budget::parameters ? count_parameters(architecture, input, model)
                                      : count_macs(architecture, input, model).total();
}

BudgetRequest budget_request(Budget budget, const std::string& like, const DataRoots& roots) {
  auto matcher = std::make_shared<BudgetMatcher>(budget, roots);
  return {like, [matcher](RunConfig& run, const RunConfig& other) { matcher->match(run, other); }};
}

}  // namespace m3d
