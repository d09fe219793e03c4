#include "reports/theme.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/hash.h"

namespace m3d::reports {
namespace {

Style style_of(const Json& json) { return {json.at("colour").get<std::string>(), json.at("marker").get<int>()}; }

/// Mixes with white (amount > 0) or black (amount < 0).
std::string shade(const std::string& colour, double amount) {
  Rgb rgb = parse_colour(colour);
  const double target = amount > 0 ? 255 : 0;
  for (auto& channel : rgb)
    channel = static_cast<std::uint8_t>(std::lround(channel + (target - channel) * std::abs(amount)));
  return to_text(rgb);
}

}  // namespace

Rgb parse_colour(const std::string& colour) {
  if (colour.size() != 7 || colour.front() != '#' ||
      colour.find_first_not_of("0123456789abcdefABCDEF", 1) != std::string::npos)
    throw UserError("'" + colour + "' is not a colour; expected \"#RRGGBB\"");
  Rgb rgb{};
  for (std::size_t i = 0; i < 3; ++i)
    rgb[i] = static_cast<std::uint8_t>(std::stoi(colour.substr(1 + 2 * i, 2), nullptr, 16));
  return rgb;
}

std::string to_text(const Rgb& colour) { return fmt::format("#{:02X}{:02X}{:02X}", colour[0], colour[1], colour[2]); }

Theme Theme::load(const std::filesystem::path& file) {
  const YamlDocument document = YamlDocument::load(file);
  require_known_keys(document, "",
                     {"font", "font_size_pt", "single_column_mm", "double_column_mm", "line_width", "families",
                      "other_families", "structures", "grey", "sequence"});
  try {
    const Json& root = document.root();
    Theme theme;
    root.at("font").get_to(theme.font);
    root.at("grey").get_to(theme.grey);
    root.at("font_size_pt").get_to(theme.font_size_pt);
    root.at("single_column_mm").get_to(theme.single_column_mm);
    root.at("double_column_mm").get_to(theme.double_column_mm);
    root.at("line_width").get_to(theme.line_width);
    root.at("structures").get_to(theme.structures);
    root.at("sequence").get_to(theme.sequence);
    for (const auto& [name, style] : root.at("families").items()) theme.families[name] = style_of(style);
    for (const Json& style : root.at("other_families")) theme.other_families.push_back(style_of(style));
    if (theme.structures.empty() || theme.sequence.size() < 2 || theme.other_families.empty())
      throw UserError(document.name() + ": structures, sequence and other_families need entries");
    return theme;
  } catch (const Json::exception& failure) {
    throw UserError(document.name() + ": " + failure.what());
  }
}

Style Theme::family(const std::string& name) const {
  if (const auto found = families.find(name); found != families.end()) return found->second;
  return other_families[fnv1a64(name) % other_families.size()];
}

Style Theme::member(const std::vector<std::string>& members, std::size_t index) const {
  Style style = family(members[index]);
  const auto place = members.begin() + static_cast<std::ptrdiff_t>(index);
  const auto position = std::count(members.begin(), place, members[index]),
             count = std::count(members.begin(), members.end(), members[index]);
  if (count > 1)
    style.colour = shade(style.colour, -0.5 + 0.95 * static_cast<double>(position) / static_cast<double>(count - 1));
  return style;
}

Style Theme::configuration(const Section& section, std::size_t index) const {
  std::vector<std::string> members;
  for (const Configuration& configuration : section.configurations) members.push_back(configuration.first().family);
  return member(members, index);
}

}  // namespace m3d::reports
