#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <weir/loan.h>

#include <array>
#include <chrono>
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
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kUnit = 16384;

  bool empty() const { return queue_ == nullptr; }
  bool in_flight() const { return !empty() && queue_->in_flight > 0; }
  /// What there is to send, in units of 16 KiB: each piece at least one.
  std::uint32_t size() const { return empty() ? 0 : queue_->size; }
  /// What its loans hold of the pool, in the same units.
  std::uint32_t lent() const { return empty() ? 0 : queue_->lent; }

  void push(Loan&& loan);
  /// Copies all that is not in flight to memory that is not the pool's, and drops the loans.
  void give_back();
  /// A send begins: the message, of as much as fits one, which stays valid until the send has ended.
  /// REQUIRES: !in_flight() and !empty().
  const msghdr& begin_send();
  /// The message of the send in flight.
  const msghdr& message() const { return queue_->message; }
  /// The send has ended with this result: drops what went out, keeps the rest for the next.
  void sent(int result);
  /// Drops all that is not in flight.
  void discard();

  /// Since when the peer has taken nothing, as far as was asked: `acknowledged` are the bytes that it has now.
  /// REQUIRES: !empty().
  Clock::time_point stalled_since(std::uint64_t acknowledged, Clock::time_point now);

 private:
  static constexpr std::size_t kMostPieces = 16;

  /// A loan, or a copy of what was in one.
  struct Piece {
    Loan loan;
    std::unique_ptr<std::byte[]> copy;
    std::uint32_t copied = 0;  ///< bytes of the copy

    iovec bytes() const { return copy ? iovec{copy.get(), copied} : iovec{loan.data(), loan.size()}; }
    std::uint32_t size() const { return units_of(copy ? copied : loan.capacity()); }
    std::uint32_t lent() const { return copy ? 0 : size(); }
  };
  struct Queue {
    std::vector<Piece> pieces;
    std::size_t first = 0;      ///< so many of them went out whole
    std::size_t offset = 0;     ///< bytes of the next that went out
    std::size_t in_flight = 0;  ///< pieces in the message
    std::uint32_t size = 0;
    std::uint32_t lent = 0;
    std::uint64_t acknowledged = 0;     ///< when it was asked last
    Clock::time_point stalled_since{};  ///< not asked yet: the epoch
    std::array<iovec, kMostPieces> parts{};
    msghdr message{};

    void count(const Piece& piece) { size += piece.size(), lent += piece.lent(); }
    void discount(const Piece& piece) { size -= piece.size(), lent -= piece.lent(); }
  };
  struct GiveBack {
    void operator()(Queue* queue) const;
  };
  using QueueHold = std::unique_ptr<Queue, GiveBack>;

  static std::vector<std::unique_ptr<Queue>>& spares();
  static QueueHold take_queue();
  static std::uint32_t units_of(std::uint32_t bytes);
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
  bool listed = false;       ///< the loop has it on its list of outboxes to send
  bool listed_full = false;  ///< the same of those whose source is to be paused
};

}  // namespace weir::server
