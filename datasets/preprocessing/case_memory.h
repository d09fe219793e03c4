#pragma once
// How many cases of a dataset may be in memory at once. Internal to this room.
#include "datasets/catalogue/dataset.h"

namespace m3d {

/// At most one a thread, and no more than fit, with the arrays that preparing one needs, in half of the machine's
/// memory. Reads the headers of the first channel of all cases.
int cases_at_once(const Dataset& dataset);

}  // namespace m3d
