#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>
#include <weir/error.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>

#include "kinds.h"
#include "server/listener.h"
#include "server/loop.h"

namespace bench {

/// A connection to an epoll server, which reads no more as long as its socket has not taken all that was read. Buffer
/// has bytes(), to read into; keep(rest), where the rest stays until it is sent; and clear(), when it is.
template <typename Buffer>
class EpollClient {
 public:
  explicit EpollClient(weir::server::Fd file) : socket_(std::move(file)) {}

  int fd() const { return socket_.get(); }
  bool awaits_room() const { return !rest_.empty(); }

  /// False: the connection has ended.
  bool go_on() { return awaits_room() ? send_rest() : echo(); }

 private:
  static bool would_block() { return errno == EAGAIN || errno == EINTR; }

  bool echo() {
    const std::span<std::byte> bytes = buffer_.bytes();
    const ssize_t count = recv(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count <= 0) return count < 0 && would_block();
    rest_ = bytes.first(static_cast<std::size_t>(count));
    if (!send_rest()) return false;
    if (awaits_room()) rest_ = buffer_.keep(rest_);
    return true;
  }

  bool send_rest() {
    const ssize_t count = send(fd(), rest_.data(), rest_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) return would_block();
    rest_ = rest_.subspan(static_cast<std::size_t>(count));
    if (rest_.empty()) buffer_.clear();
    return true;
  }

  weir::server::Fd socket_;
  Buffer buffer_;
  std::span<const std::byte> rest_;  ///< to be sent yet
};

template <typename Client>
class EpollServer {
 public:
  explicit EpollServer(int listener) : listener_(listener) { control(EPOLL_CTL_ADD, listener, EPOLLIN, nullptr); }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
      if (count < 0 && errno != EINTR) throw weir::Error(errno, "the epoll cannot be waited for");
      for (int i = 0; i < count; ++i) {
        auto* client = static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
        client == nullptr ? accept_all() : handle(client);
      }
    }
  }

 private:
  void control(int operation, int fd, std::uint32_t wanted, Client* client) {
    epoll_event event{.events = wanted, .data = {.ptr = client}};
    if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) throw weir::Error(errno, "the epoll refuses a file");
  }

  void accept_all() {
    for (;;) {
      weir::server::Fd file(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
      if (file.get() < 0) return;
      weir::server::send_without_delay(file.get());
      auto client = std::make_unique<Client>(std::move(file));
      control(EPOLL_CTL_ADD, client->fd(), EPOLLIN, client.get());
      client.release();  // its own owner, until it ends
    }
  }

  void handle(Client* client) {
    const bool awaited_room = client->awaits_room();
    if (!client->go_on()) {
      delete client;
    } else if (client->awaits_room() != awaited_room) {
      control(EPOLL_CTL_MOD, client->fd(), client->awaits_room() ? EPOLLOUT : EPOLLIN, client);
    }
  }

  static int make_epoll() {
    const int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) throw weir::Error(errno, "no epoll: the limit on open files is reached");
    return fd;
  }

  const weir::server::Fd epoll_{make_epoll()};
  const int listener_;
};

}  // namespace bench
