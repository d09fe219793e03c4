#pragma once
// The two ways in which a command ends badly. Anything else that is thrown is a defect of ours.
#include <stdexcept>
#include <string>

namespace m3d {

/// The user asked for something that cannot be. The message says what (file:line, key or option), what was
/// expected and what to do instead. The program ends with exit code 2 and nothing has been written.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A run or a check failed while others may go on; exit code 1 at the end.
class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// SIGINT or SIGTERM arrived and the state is saved; exit code 130.
class Interrupted : public std::runtime_error {
 public:
  Interrupted();
};

}  // namespace m3d
