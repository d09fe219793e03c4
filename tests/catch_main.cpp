#define CATCH_CONFIG_MAIN
#include "tests/catch.h"

// Asked for by the leak sanitizer, if there is one: libraries that do not free everything where they cannot read or
// write a file.
extern "C" const char* __lsan_default_suppressions() { return "leak:libblosc2\nleak:libITKNrrdIO\n"; }
