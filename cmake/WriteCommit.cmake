cmake_minimum_required(VERSION 3.25)
# cmake -D SOURCE=<folder> -D OUTPUT=<header> -P WriteCommit.cmake: the commit as a header, rewritten only when it changed.
# Without optional locks, so that a build never stands in the way of a commit.
execute_process(COMMAND git --no-optional-locks describe --always --abbrev=12 --dirty --exclude=*
  WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT "#define M3D_GIT_COMMIT \"@commit@\"\n" @ONLY)
