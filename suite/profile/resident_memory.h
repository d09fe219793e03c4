#pragma once
#include <cstdint>
#include <optional>

namespace m3d {

/// Bytes of the process in memory now (VmRSS) and at most since the last reset (VmHWM); absent without Linux's /proc.
std::optional<std::int64_t> resident_bytes();
std::optional<std::int64_t> peak_resident_bytes();

/// Bytes that the process can still get without making the machine swap: what the system calls available, or what the
/// control group leaves if that is less. Absent without Linux's /proc.
std::optional<std::int64_t> available_bytes();

/// Gives freed memory back to the system and sets the peak to the present. False where the system does not allow it.
bool reset_peak_resident();

}  // namespace m3d
