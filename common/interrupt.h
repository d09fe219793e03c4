#pragma once
namespace m3d {

/// Makes SIGINT, SIGTERM and SIGUSR1 set a flag instead of ending the process; a second signal ends it at once.
void catch_interrupts();
/// True once a signal arrived. Long work looks here between steps, saves its state and throws Interrupted.
bool interrupt_requested();

}  // namespace m3d
