#include "tests/fuzz/image_target.h"

M3D_FUZZ_TARGET(metaimage) { m3d::fuzz::read_image_bytes(m3d::parse_metaimage, data, size); }
