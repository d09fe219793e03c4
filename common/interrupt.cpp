#include "common/interrupt.h"

#include <csignal>
#include <initializer_list>

#include <unistd.h>

namespace m3d {
namespace {

volatile std::sig_atomic_t requested = 0;

void on_signal(int) {
  if (requested) _exit(130);
  requested = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
}

bool interrupt_requested() { return requested != 0; }

}  // namespace m3d
