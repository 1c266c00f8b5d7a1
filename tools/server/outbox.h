#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <weir/loan.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "listener.h"

namespace weir::server {

/// Loans on their way out of one socket, in order. While it is empty it takes no memory, for most connections of a
/// server are idle. REQUIRES: one thread uses it.
class Outbox {
 public:
  static constexpr std::size_t kUnit = 16384;

  bool empty() const { return queue_ == nullptr; }
  bool in_flight() const { return !empty() && queue_->in_flight > 0; }
  /// What the loans hold, in units of 16 KiB: each at least one.
  std::uint32_t size() const { return empty() ? 0 : queue_->size; }

  void push(Loan&& loan);
  /// A send begins: the message, of as much as fits one, which stays valid until the send has ended.
  /// REQUIRES: !in_flight() and !empty().
  const msghdr& begin_send();
  /// The message of the send in flight.
  const msghdr& message() const { return queue_->message; }
  /// The send has ended with this result: drops what went out, keeps the rest for the next.
  void sent(int result);
  /// Drops all that is not in flight.
  void discard();

 private:
  static constexpr std::size_t kMostPieces = 16;

  struct Queue {
    std::vector<Loan> loans;
    std::size_t first = 0;      ///< so many of them went out whole
    std::size_t offset = 0;     ///< bytes of the next that went out
    std::size_t in_flight = 0;  ///< loans in the message
    std::uint32_t size = 0;
    std::array<iovec, kMostPieces> pieces{};
    msghdr message{};
  };
  struct GiveBack {
    void operator()(Queue* queue) const;
  };
  using QueueHold = std::unique_ptr<Queue, GiveBack>;

  static std::vector<std::unique_ptr<Queue>>& spares();
  static QueueHold take_queue();
  static std::uint32_t size_of(const Loan& loan);
  iovec rest_of(std::size_t index) const;

  QueueHold queue_;
};

/// A socket, and what is to leave by it.
struct Outlet {
  explicit Outlet(Fd file) : socket(std::move(file)) {}
  int fd() const { return socket.get(); }
  /// Sends of the message in flight what the socket has room for. Returns how much, or -errno.
  int try_send() const;

  Fd socket;
  std::uint32_t counted = 0;  ///< of its outbox's buffers, by the loop
  Outbox outbox;
  bool listed = false;  ///< the loop has it on its list of outboxes to send
};

}  // namespace weir::server
