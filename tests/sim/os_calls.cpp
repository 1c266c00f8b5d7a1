#include <cerrno>
#include <memory>

#include "os/clock.h"
#include "os/event.h"
#include "os/uring.h"
#include "sim/kernel.h"

// The system calls of the receive path, answered by the simulator's kernel.

namespace weir::os {

using sim::Kernel;

int register_buffer_ring(io_uring& /*ring*/, void* memory, unsigned entries, unsigned short bgid) {
  return Kernel::current().register_group(memory, entries, bgid, false);
}

int unregister_buffer_ring(io_uring& /*ring*/, unsigned short bgid) { return Kernel::current().unregister_group(bgid); }

bool has_multishot_receive(io_uring& /*ring*/) { return Kernel::current().personality().multishot; }

Time now() noexcept { return Kernel::current().now(); }

int make_event() { return Kernel::current().files().open(std::make_shared<sim::File>()); }

void signal_event(int fd) {
  if (const auto file = Kernel::current().files().at(fd)) ++file->signals;
}

void clear_event(int fd) {
  if (const auto file = Kernel::current().files().at(fd)) file->signals = 0;
}

void close_event(int fd) { Kernel::current().files().close(fd); }

}  // namespace weir::os
