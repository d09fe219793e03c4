#pragma once
// The one place that names Catch2's header (version 2 in Debian 12). Include it after torch, last: c10 has a CHECK too.
#ifdef CHECK
#undef CHECK
#endif
#include <catch2/catch.hpp>
