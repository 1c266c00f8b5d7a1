#include "receive/epoll_requests.h"

#include <cerrno>

#include "os/epoll.h"

namespace weir::detail {

std::vector<bool>::reference EpollRequests::is_registered(Name name) noexcept {
  return name.kind == Kind::event ? event_registered_.front() : registered_[name.connection];
}

int EpollRequests::receive_from_ring(Name /*name*/, int /*fd*/, FromRing /*how*/) noexcept { return -ENOSYS; }

int EpollRequests::receive_into(Name name, int fd, std::span<std::byte> /*buffer*/, bool /*at_once*/) noexcept {
  return poll(name, fd);
}

int EpollRequests::poll(Name name, int fd) noexcept {
  if (is_registered(name)) return 0;
  const int error = os::add_to_epoll(epoll_, fd,
                                     user_data({.kind = name.kind == Kind::event ? Kind::event : Kind::poll,
                                                .generation = name.generation,
                                                .connection = name.connection}));
  if (error != 0) return error;
  is_registered(name) = true;
  ++in_flight_;
  return 0;
}

/// A file that was closed before has left by itself.
int EpollRequests::cancel(Name name, int fd) noexcept {
  if (!is_registered(name)) return 0;
  (void)os::remove_from_epoll(epoll_, fd);
  is_registered(name) = false;
  --in_flight_;
  return 0;
}

}  // namespace weir::detail
