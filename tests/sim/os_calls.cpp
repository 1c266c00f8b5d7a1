#include <cerrno>
#include <memory>

#include "os/clock.h"
#include "os/epoll.h"
#include "os/event.h"
#include "os/socket.h"
#include "os/uring.h"
#include "sim/kernel.h"

// The system calls of the receive path, answered by the simulator's kernel.

namespace weir::os {

using sim::Kernel;

int register_buffer_ring(io_uring& /*ring*/, void* memory, unsigned entries, unsigned short bgid, bool incremental) {
  return Kernel::current().register_group(memory, entries, bgid, incremental);
}

int unregister_buffer_ring(io_uring& /*ring*/, unsigned short bgid) { return Kernel::current().unregister_group(bgid); }

ReceiveFeatures probe_receives(io_uring& /*ring*/) {
  const sim::Personality& kernel = Kernel::current().personality();
  return {.multishot = kernel.multishot, .bundles = kernel.bundles};
}

int receive(int fd, std::span<std::byte> buffer) noexcept { return Kernel::current().receive(fd, buffer); }

int peek(int fd) noexcept { return Kernel::current().peek(fd); }

bool is_readable(int fd) noexcept { return Kernel::current().is_readable(fd); }

bool is_datagram(int /*fd*/) noexcept { return false; }

int add_to_epoll(int /*epoll*/, int fd, std::uint64_t data) noexcept {
  Kernel& kernel = Kernel::current();
  return kernel.epoll().add(fd, kernel.at(fd), data);
}

int remove_from_epoll(int /*epoll*/, int fd) noexcept { return Kernel::current().epoll().remove(fd); }

Time now() noexcept { return Kernel::current().now(); }

int make_event() { return Kernel::current().open(std::make_shared<sim::File>()); }

void signal_event(int fd) { ++Kernel::current().at(fd)->signals; }

void clear_event(int fd) { Kernel::current().at(fd)->signals = 0; }

void close_event(int fd) { Kernel::current().close(fd); }

}  // namespace weir::os
