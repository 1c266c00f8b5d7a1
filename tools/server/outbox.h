#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <weir/loan.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "listener.h"

namespace weir::server {

/// Loans on their way out of one socket, in order. Those of a send in flight stay put until it ends.
class Outbox {
 public:
  static constexpr std::size_t kUnit = 16384;

  bool empty() const { return sending_.empty() && waiting_.empty(); }
  bool in_flight() const { return in_flight_; }
  /// What the loans hold, in units of 16 KiB: each at least one.
  std::size_t size() const { return size_; }

  void push(Loan&& loan) {
    size_ += size_of(loan);
    waiting_.push_back(std::move(loan));
  }

  /// A send begins: the message, of as much as fits one, which stays valid until the send has ended.
  /// REQUIRES: !in_flight() and !empty().
  const msghdr& begin_send();
  /// The message of the send in flight.
  const msghdr& message() const { return message_; }
  /// The send has ended with this result: drops what went out, keeps the rest for the next.
  void sent(int result);
  /// Drops all that is not in flight.
  void discard();

 private:
  static std::size_t size_of(const Loan& loan) { return (loan.capacity() + kUnit - 1) / kUnit; }
  iovec rest_of(std::size_t index) const;

  std::vector<Loan> sending_;
  std::vector<Loan> waiting_;
  std::size_t first_ = 0;   ///< loans of sending_ that went out whole
  std::size_t offset_ = 0;  ///< bytes of the next that went out
  std::vector<iovec> pieces_;
  msghdr message_{};
  bool in_flight_ = false;
  std::size_t size_ = 0;
};

/// A socket, and what is to leave by it.
struct Outlet {
  explicit Outlet(Fd file) : socket(std::move(file)) {}
  int fd() const { return socket.get(); }
  /// Sends of the message in flight what the socket has room for. Returns how much, or -errno.
  int try_send() const;

  Fd socket;
  Outbox outbox;
  std::size_t counted = 0;  ///< of its outbox's buffers, by the loop
  bool listed = false;      ///< the loop has it on its list of outboxes to send
};

}  // namespace weir::server
