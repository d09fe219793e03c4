// The example that README's guide starts from: registered like any family, it passes what every network must.
#include "architectures/macs.h"
#include "architectures/record_forms.h"
#include "common/error.h"
#include "tests/architectures/reduced_form.h"
#include "tests/catch.h"

namespace m3d {
void register_two_convolutions();
}

using namespace m3d;
using namespace m3d::test;

TEST_CASE("the example of README's guide can be listed, built, counted and verified", "[example]") {
  architecture_names();  // the delivered families first
  register_two_convolutions();
  const Architecture& example = find_architecture("two_convolutions");
  const Json options = reduced_options(example);
  const NetworkInput input = reduced_input(example, options);
  const auto network = example.build(input, options, 1);
  const auto output = network->forward(torch::randn({1, 2, 4, 8, 12}));
  CHECK(output[0].sizes() == torch::IntArrayRef{1, 3, 4, 8, 12});
  CHECK(count_macs(example, input, options).convolution == 4 * 8 * 12 * (2 * 4 * 27 + 4 * 3));
  CHECK(find_record_form("two_convolutions", {{"width", 4}})->options.at("width") == 4);
  CHECK_THROWS_AS(find_record_form("two_convolutions", {{"wdith", 4}}), UserError);
}
