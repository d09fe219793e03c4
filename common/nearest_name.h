#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace m3d {

/// The known name closest to `wrong` by edit distance (insert, delete, replace, swap of neighbours);
/// empty when nothing is close enough to be a likely slip.
std::string nearest_name(std::string_view wrong, const std::vector<std::string>& known);

/// "unknown <kind> 'wrong'; did you mean 'near'? (known: a, b, c)"
std::string unknown_name_message(std::string_view kind, std::string_view wrong, const std::vector<std::string>& known);

}  // namespace m3d
