#include "tests/fuzz/image_target.h"

M3D_FUZZ_TARGET(nifti) { m3d::fuzz::read_image_bytes(m3d::parse_nifti, data, size); }
