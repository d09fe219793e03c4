#include "suite/cli/match_options.h"

#include "common/error.h"
#include "suite/cli/output.h"

namespace m3d {

void add_match_options(CLI::App& app, std::string& match, std::string& like) {
  app.add_option("--match", match, "find widths that cost what --like costs, within 2 %")
      ->check(one_of("--match", {"parameters", "macs"}));
  app.add_option("--like", like, "with --match: the network whose budget is to be met")->type_name("NAME");
}

Budget budget_named(const std::string& match, const std::string& like) {
  if (match.empty() || like.empty())
    throw UserError("--match and --like belong together: --match parameters --like NAME");
  return match == "parameters" ? Budget::parameters : Budget::macs;
}

}  // namespace m3d
