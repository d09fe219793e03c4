#pragma once
// What the families' registrations have in common: option specs in a line each, and the checks of patch and image.
#include "architectures/registry.h"

namespace m3d {

OptionSpec choice_option(std::string name, std::string value, std::string description, std::vector<std::string> known);
OptionSpec flag_option(std::string name, bool value, std::string description);
OptionSpec integer_option(std::string name, std::int64_t value, std::string description, double minimum,
                          double maximum = 1e300);
OptionSpec number_option(std::string name, double value, std::string description, double minimum,
                         double maximum = 1e300);
OptionSpec integers_option(std::string name, Json value, std::string description, double minimum = 1);

/// The values of a list option. Throws UserError unless there are `length`.
std::vector<std::int64_t> integers_of(const Json& options, const std::string& name, std::size_t length);

/// Throws UserError, saying which sizes do and `why`, unless every axis of the patch is a positive multiple of its
/// divisor.
void require_multiples(const std::string& network, const std::array<std::int64_t, 3>& patch,
                       const std::array<std::int64_t, 3>& divisors, const std::string& why);

/// Throws UserError where an image [B, C, (D,) H, W] is not of the size that a network was built for.
void require_image(const std::string& network, const torch::Tensor& image, const NetworkInput& input);

}  // namespace m3d
