#include "receive/epoll_submitter.h"

#include <cerrno>

#include "os/epoll.h"

namespace weir::detail {

std::vector<bool>::reference EpollSubmitter::is_registered(RequestId id) noexcept {
  return id.kind == Kind::event ? event_registered_.front() : registered_[id.connection];
}

int EpollSubmitter::receive_from_ring(RequestId /*id*/, int /*fd*/, FromRing /*how*/) noexcept { return -ENOSYS; }

int EpollSubmitter::receive_into(RequestId id, int fd, std::span<std::byte> /*buffer*/, bool /*at_once*/) noexcept {
  return poll(id, fd);
}

int EpollSubmitter::poll(RequestId id, int fd) noexcept {
  if (is_registered(id)) return 0;
  const int error = os::add_to_epoll(epoll_, fd,
                                     user_data({.kind = id.kind == Kind::event ? Kind::event : Kind::poll,
                                                .generation = id.generation,
                                                .connection = id.connection}));
  if (error != 0) return error;
  is_registered(id) = true;
  note_request();
  return 0;
}

/// A file that was closed before has left by itself.
int EpollSubmitter::cancel(RequestId id, int fd) noexcept {
  if (!is_registered(id)) return 0;
  (void)os::remove_from_epoll(epoll_, fd);
  is_registered(id) = false;
  note_completion(true);
  return 0;
}

}  // namespace weir::detail
