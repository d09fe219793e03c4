#include "architectures/family.h"

#include "common/error.h"

namespace m3d {

using enum OptionType;

OptionSpec choice_option(std::string name, std::string value, std::string description, std::vector<std::string> known) {
  return {std::move(name), string, std::move(value), std::move(description), std::move(known)};
}

OptionSpec flag_option(std::string name, bool value, std::string description) {
  return {std::move(name), boolean, value, std::move(description)};
}

OptionSpec integer_option(std::string name, std::int64_t value, std::string description, double minimum,
                          double maximum) {
  return {std::move(name), integer, value, std::move(description), {}, minimum, maximum};
}

OptionSpec number_option(std::string name, double value, std::string description, double minimum, double maximum) {
  return {std::move(name), number, value, std::move(description), {}, minimum, maximum};
}

OptionSpec integers_option(std::string name, Json value, std::string description, double minimum) {
  return {std::move(name), integer_list, std::move(value), std::move(description), {}, minimum};
}

std::vector<std::int64_t> integers_of(const Json& options, const std::string& name, std::size_t length) {
  const auto values = options.at(name).get<std::vector<std::int64_t>>();
  if (values.size() != length)
    throw UserError("option '" + name + "' needs " + std::to_string(length) + " values, got " +
                    options.at(name).dump());
  return values;
}

void require_multiples(const std::string& network, const std::array<std::int64_t, 3>& patch,
                       const std::array<std::int64_t, 3>& divisors, const std::string& why) {
  bool fits = true;
  for (std::size_t axis = 0; axis < 3; ++axis) fits = fits && patch[axis] > 0 && patch[axis] % divisors[axis] == 0;
  if (fits) return;
  throw UserError("patch " + Json(patch).dump() + " does not fit " + network + ": [D, H, W] must be multiples of " +
                  Json(divisors).dump() + " (" + why + ")");
}

void require_image(const std::string& network, const torch::Tensor& image, const NetworkInput& input) {
  const auto& patch = input.patch;
  const bool slice = image.dim() == 4;
  const bool same = slice ? image.size(2) == patch[1] && image.size(3) == patch[2]
                          : image.dim() == 5 && image.sizes().slice(2) == at::IntArrayRef(patch);
  if (same && image.size(1) == input.channels) return;
  throw UserError("this " + network + " was built for patches " + Json(patch).dump() + " of " +
                  std::to_string(input.channels) + " channels, got an image " + Json(image.sizes().vec()).dump() +
                  "; build it for that patch");
}

}  // namespace m3d
