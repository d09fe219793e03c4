#include "common/error.h"

namespace m3d {
Interrupted::Interrupted() : std::runtime_error("interrupted; the state is saved, the same command continues") {}
}  // namespace m3d
