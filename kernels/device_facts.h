#pragma once
// On what and with what results were made; for records and for keeping apart what cannot be compared.
#include <c10/core/Device.h>

#include <string>

namespace m3d {

/// "Intel(R) Xeon(R) …".
std::string cpu_name();
/// The GPU's name, or the processor's.
std::string device_name(c10::Device device);
/// "13.0" of the CUDA runtime in this process; empty where there is none.
std::string cuda_version();

}  // namespace m3d
