#include "os/epoll.h"

#include <sys/epoll.h>

#include <cerrno>

namespace weir::os {

int add_to_epoll(int epoll, int fd, std::uint64_t data) noexcept {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = data}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int remove_from_epoll(int epoll, int fd) noexcept {
  return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr) == 0 ? 0 : -errno;
}

}  // namespace weir::os
