#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <weir/loan.h>

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace weir::server {

/// Loans on their way out of one socket, in order. Those of a send in flight stay put until it ends.
class Outbox {
 public:
  bool empty() const { return sending_.empty() && waiting_.empty(); }
  bool in_flight() const { return in_flight_; }
  /// Buffers held.
  std::size_t size() const { return sending_.size() - first_ + waiting_.size(); }

  void push(Loan&& loan) { waiting_.push_back(std::move(loan)); }

  /// Prepares one send of as much as fits a message. REQUIRES: !in_flight() and !empty().
  void prepare_send(io_uring_sqe* sqe, int fd);
  /// The send has ended with this result: drops what went out, keeps the rest for the next.
  void sent(int result);
  /// Drops all that is not in flight.
  void discard();

 private:
  static constexpr std::size_t kMostPieces = 16;
  struct Message {
    msghdr header{};
    std::array<iovec, kMostPieces> pieces{};
  };

  iovec rest_of(std::size_t index) const;
  void prepare_message(io_uring_sqe* sqe, int fd);

  std::vector<Loan> sending_;
  std::vector<Loan> waiting_;
  std::size_t first_ = 0;   ///< loans of sending_ that went out whole
  std::size_t offset_ = 0;  ///< bytes of the next that went out
  std::unique_ptr<Message> message_;
  bool in_flight_ = false;
};

}  // namespace weir::server
