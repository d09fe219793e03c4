#include "common/nearest_name.h"

#include <algorithm>

namespace m3d {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      cost[i][j] = std::min({replace, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string nearest_name(std::string_view wrong, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, wrong.size() / 2);
  for (const auto& name : known) {
    const bool prefix = !wrong.empty() && name.starts_with(wrong);
    const std::size_t distance = prefix ? 1 : edit_distance(wrong, name);
    if (distance < best_distance || (distance == best_distance && best.empty())) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

std::string unknown_name_message(std::string_view kind, std::string_view wrong, const std::vector<std::string>& known) {
  std::string message = "unknown " + std::string(kind) + " '" + std::string(wrong) + "'";
  const std::string near = nearest_name(wrong, known);
  if (!near.empty()) message += "; did you mean '" + near + "'?";
  message += " (known:";
  for (std::size_t i = 0; i < known.size(); ++i) message += (i ? ", " : " ") + known[i];
  return message + ")";
}

}  // namespace m3d
