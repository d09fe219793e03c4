#include "tests/fuzz/image_target.h"

M3D_FUZZ_TARGET(gipl) { m3d::fuzz::read_image_bytes(m3d::parse_gipl, data, size); }
