#pragma once
// Which library multiplies on the CPU.

namespace m3d {

/// From now on this process's float32 matrix products (mm, addmm, bmm) and those 3D convolutions that LibTorch would do by
/// unfolding (batch 1 and few voxels) are computed by oneDNN, forward and backward, from about a million multiply-adds on.
/// LibTorch's own choice, MKL, uses half the vector width on processors of other makers than Intel: oneDNN was two to three
/// times as fast there. Same results but for rounding. Idempotent.
void register_onednn_kernels();

}  // namespace m3d
