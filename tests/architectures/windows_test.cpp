// Windows over grids and the attention within them, against what the words say, token by token.
#include <torch/torch.h>

#include "architectures/blocks/patch_merging.h"
#include "architectures/blocks/window_attention.h"
#include "common/error.h"
#include "tests/catch.h"

using namespace m3d;

namespace {

const Grid kGrid{3, 5, 6};

WindowRule rule(const Grid& size, WindowFit fit, bool shifted = true, int dimensions = 3) {
  return {size, fit, dimensions, shifted};
}

/// Place along each axis, in the padded grid before the shift, of a token of a window.
Grid place(const Windows& windows, std::int64_t window, std::int64_t token) {
  const Grid counts = windows.counts(), &size = windows.size;
  const Grid corner{window / (counts[1] * counts[2]), window / counts[2] % counts[1], window % counts[2]};
  const Grid inside{token / (size[1] * size[2]), token / size[2] % size[1], token % size[2]};
  return {corner[0] * size[0] + inside[0], corner[1] * size[1] + inside[1], corner[2] * size[2] + inside[2]};
}

/// The region that the original's slices number: before the last window, before the seam, after it.
Grid region(const Windows& windows, const Grid& place) {
  Grid regions{};
  for (int axis = 0; axis < 3; ++axis)
    if (windows.shift[axis] > 0)
      regions[axis] = (place[axis] >= windows.padded[axis] - windows.size[axis]) +
                      (place[axis] >= windows.padded[axis] - windows.shift[axis]);
  return regions;
}

}  // namespace

TEST_CASE("windows fit their grid by each family's rule", "[windows]") {
  const auto fit = [](const WindowRule& windows, const Grid& grid) { return fit_windows(windows, grid); };
  const Windows shrunk = fit(rule({4, 4, 4}, WindowFit::shrink), kGrid);
  CHECK((shrunk.size == Grid{3, 3, 3} && shrunk.shift == Grid{} && shrunk.padded == Grid{3, 6, 6}));
  const Windows whole = fit(rule({2, 2, 2}, WindowFit::shrink), kGrid);
  CHECK((whole.size == Grid{2, 2, 2} && whole.shift == Grid{1, 1, 1} && whole.padded == Grid{4, 6, 6}));
  const Windows flat = fit(rule({1, 4, 4}, WindowFit::shrink, true, 2), {1, 8, 8});
  CHECK((flat.size == Grid{1, 4, 4} && flat.shift == Grid{0, 2, 2}));
  const Windows clamped = fit(rule({4, 4, 6}, WindowFit::clamp), kGrid);
  CHECK((clamped.size == Grid{3, 4, 6} && clamped.shift == Grid{0, 2, 0} && clamped.padded == Grid{3, 8, 6}));
  CHECK(fit(rule({4, 4, 4}, WindowFit::keep), kGrid).padded == Grid{4, 8, 8});
  CHECK(fit(rule({4, 4, 4}, WindowFit::keep), kGrid).is_shifted());
  CHECK_FALSE(fit(rule({1, 4, 4}, WindowFit::keep), kGrid).is_shifted());
  CHECK_FALSE(fit(rule(kGrid, WindowFit::keep), kGrid).is_shifted());
  CHECK_FALSE(fit(rule({2, 2, 2}, WindowFit::shrink, false), kGrid).is_shifted());
}

TEST_CASE("cutting windows and joining them gives the tokens back, gradients too", "[windows]") {
  for (const auto& size : {Grid{2, 2, 3}, Grid{3, 4, 4}, Grid{1, 5, 2}}) {
    const Windows windows = fit_windows(rule(size, WindowFit::clamp), kGrid);
    const auto tokens = torch::randn({2, voxels(kGrid), 5}, torch::kFloat64).requires_grad_();
    const auto cut = cut_windows(tokens, kGrid, windows);
    CHECK(cut.sizes() == torch::IntArrayRef{2 * voxels(windows.counts()), voxels(windows.size), 5});
    const auto joined = join_windows(cut, kGrid, windows);
    CHECK(torch::equal(joined, tokens));
    const auto weights = torch::randn_like(joined);
    (joined * weights).sum().backward();
    CHECK(torch::equal(tokens.grad(), weights));
  }
}

TEST_CASE("the order within windows is that of a rolled volume", "[windows]") {
  const Windows windows = fit_windows(rule({2, 2, 3}, WindowFit::clamp), {4, 6, 6});
  const auto tokens = torch::arange(4 * 6 * 6, torch::kFloat64).view({1, -1, 1});
  const auto cut = cut_windows(tokens, {4, 6, 6}, windows);
  const auto rolled = tokens.view({4, 6, 6}).roll({-1, -1, -1}, {0, 1, 2});
  for (std::int64_t window = 0; window < cut.size(0); ++window)
    for (std::int64_t token = 0; token < cut.size(1); ++token) {
      const Grid at = place(windows, window, token);
      CHECK(cut[window][token][0].item<double>() == rolled[at[0]][at[1]][at[2]].item<double>());
    }
}

TEST_CASE("masks part what the shift has brought together", "[windows]") {
  for (const auto& size : {Grid{2, 2, 2}, Grid{3, 2, 4}, Grid{1, 2, 3}}) {
    const Windows windows = fit_windows(rule(size, WindowFit::clamp), kGrid);
    const auto mask = full_shift_mask(windows, torch::kFloat64);
    REQUIRE(mask.size(0) == voxels(windows.counts()));
    const auto values = mask.accessor<double, 3>();
    bool right = true;
    for (std::int64_t window = 0; window < mask.size(0); ++window)
      for (std::int64_t a = 0; a < mask.size(1); ++a)
        for (std::int64_t b = 0; b < mask.size(2); ++b) {
          const bool apart = region(windows, place(windows, window, a)) != region(windows, place(windows, window, b));
          right = right && values[window][a][b] == (apart ? -100.0 : 0.0);
        }
    CHECK(right);
  }
}

TEST_CASE("the position bias is the table's row of each offset", "[windows]") {
  for (const auto rows : {PositionRows::distinct, PositionRows::nnformer}) {
    const Grid window{2, 3, 4};
    WindowAttention attention({4, 2, window, rows});
    auto table = attention.named_parameters()["relative_position_bias_table"];
    torch::NoGradGuard no_grad;
    table.copy_(torch::arange(table.numel()).view_as(table));
    const Grid strides = rows == PositionRows::distinct ? Grid{35, 7, 1} : Grid{8, 5, 1};
    for (const std::int64_t tokens : {24, 13}) {
      const auto bias = attention.position_bias(tokens);
      REQUIRE(bias.sizes() == torch::IntArrayRef{2, tokens, tokens});
      bool right = true;
      for (std::int64_t i = 0; i < tokens; ++i)
        for (std::int64_t j = 0; j < tokens; ++j) {
          const std::int64_t row =
              (i / 12 - j / 12 + 1) * strides[0] + (i / 4 % 3 - j / 4 % 3 + 2) * strides[1] + (i % 4 - j % 4 + 3);
          for (int head = 0; head < 2; ++head) right = right && bias[head][i][j].item<std::int64_t>() == 2 * row + head;
        }
      CHECK(right);
    }
  }
  CHECK_THROWS_WITH(WindowAttention({4, 2, {5, 5, 1}, PositionRows::nnformer}), Catch::Contains("window_size"));
  CHECK_THROWS_WITH(WindowAttention({5, 2, {2, 2, 2}}), Catch::Contains("heads"));
}

TEST_CASE("rates of stochastic depth rise over all stages", "[windows]") {
  const auto rates = rising_rates(0.3, {1, 2, 1});
  REQUIRE(rates.size() == 3);
  CHECK(rates[0] == std::vector<double>{0.0});
  CHECK(rates[1][0] == Approx(0.1));
  CHECK(rates[2][0] == Approx(0.3));
  CHECK(rising_rates(0.3, {1})[0] == std::vector<double>{0.0});
}

TEST_CASE("patch merging lays neighbours side by side in the order asked for", "[windows]") {
  PatchMerging merging(1, {{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 1}});
  CHECK(merging.merged({3, 4, 6}) == Grid{3, 2, 3});
  const torch::NoGradGuard no_grad;
  for (auto& parameter : merging.parameters()) parameter.fill_(1);
  merging.named_parameters()["norm.bias"].copy_(torch::tensor({0.0, 1.0, 2.0, 3.0}));
  CHECK(merging.forward(torch::rand({2, 48, 1}), {2, 4, 6}).sizes() == torch::IntArrayRef{2, 12, 2});
}
