#include "os/socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/no_cancel.h"

namespace weir::os {
namespace {

int receive_with(int fd, std::span<std::byte> buffer, int flags) noexcept {
  const base::NoCancel no_cancel;
  const ssize_t result = recv(fd, buffer.data(), buffer.size(), flags | MSG_DONTWAIT);
  return result >= 0 ? static_cast<int>(result) : -errno;
}

}  // namespace

int receive(int fd, std::span<std::byte> buffer) noexcept { return receive_with(fd, buffer, 0); }

int peek(int fd) noexcept {
  std::byte first{};
  return receive_with(fd, {&first, 1}, MSG_PEEK);
}

bool is_readable(int fd) noexcept {
  pollfd look{.fd = fd, .events = POLLIN | POLLRDHUP, .revents = 0};
  const base::NoCancel no_cancel;
  return poll(&look, 1, 0) == 1;
}

bool is_datagram(int fd) noexcept {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

}  // namespace weir::os
