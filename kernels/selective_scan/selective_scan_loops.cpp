// The inner loops of the selective scan for one instruction set.
#include "kernels/selective_scan/selective_scan_loops.h"

#include "kernels/selective_scan/selective_scan_backward_loops.h"
#include "kernels/selective_scan/selective_scan_forward_loops.h"

namespace m3d::selective_scan_loops::M3D_ISA {
namespace {

/// Rows of B and C, and what the backward, which keeps more than the forward, has for every group.
template <class T>
std::int64_t memory_size(std::int64_t states, std::int64_t groups) {
  return row_values<T>(states) + groups * carried_values<T>(states);
}

}  // namespace

template <class T, class S, class O>
Loops<T, S, O> table() {
  return {kLanes<T>, memory_size<T>, forward<T, S, O>, backward<T, S, O>};
}
template Loops<double, double, double> table();
template Loops<float, float, float> table();
template Loops<float, Bfloat16, Bfloat16> table();
template Loops<float, Bfloat16, float> table();
template Loops<float, Float16, Float16> table();
template Loops<float, Float16, float> table();

}  // namespace m3d::selective_scan_loops::M3D_ISA
