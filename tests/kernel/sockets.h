#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

// Files and connected sockets for the tests, which are closed with their owner.

namespace weir::testing {

class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File() { reset(); }
  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

struct SocketPair {
  File near;
  File far;

  static SocketPair local() {
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    return {File(ends[0]), File(ends[1])};
  }
};

inline SocketPair tcp_pair() {
  const File listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), generic, length) != 0 || listen(listener.get(), 1) != 0) std::abort();
  getsockname(listener.get(), generic, &length);
  File far(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(far.get(), generic, length) != 0) std::abort();
  return {File(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)), std::move(far)};
}

/// The peer is told of a reset, not of an end. REQUIRES: TCP.
inline void close_with_reset(File& socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket.reset();
}

/// Raises the limit on open files as far as an ordinary user may. False when that is not enough.
inline bool files_allowed(rlim_t count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= count;
}

}  // namespace weir::testing
