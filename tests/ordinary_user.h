#pragma once
#include <unistd.h>

#include <stdexcept>

namespace m3d::test {

/// As long as it lives, this process may not do more than an ordinary user: root may read and write everything.
class OrdinaryUser {
 public:
  OrdinaryUser() : was_root_(geteuid() == 0) {
    if (was_root_ && seteuid(65534) != 0) throw std::runtime_error("cannot become an ordinary user");
  }
  ~OrdinaryUser() {
    if (was_root_ && seteuid(0) != 0) std::terminate();
  }
  OrdinaryUser(const OrdinaryUser&) = delete;

 private:
  bool was_root_;
};

}  // namespace m3d::test
