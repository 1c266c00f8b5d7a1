#include "outbox.h"

#include <algorithm>

namespace weir::server {
namespace {

// The kernel goes on with a short send by itself, so that one completion tells the end of all of it.
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_WAITALL;

}  // namespace

iovec Outbox::rest_of(std::size_t index) const {
  const Loan& loan = sending_[index];
  const std::size_t skip = index == first_ ? offset_ : 0;
  return {loan.data() + skip, loan.size() - skip};
}

void Outbox::prepare_send(io_uring_sqe* sqe, int fd) {
  if (sending_.empty()) sending_.swap(waiting_);
  in_flight_ = true;
  if (sending_.size() - first_ > 1) {
    prepare_message(sqe, fd);
    return;
  }
  const iovec only = rest_of(first_);
  io_uring_prep_send(sqe, fd, only.iov_base, only.iov_len, kSendFlags);
}

void Outbox::prepare_message(io_uring_sqe* sqe, int fd) {
  if (!message_) message_ = std::make_unique<Message>();
  const std::size_t count = std::min(sending_.size() - first_, kMostPieces);
  for (std::size_t i = 0; i < count; ++i) message_->pieces[i] = rest_of(first_ + i);
  message_->header.msg_iov = message_->pieces.data();
  message_->header.msg_iovlen = count;
  io_uring_prep_sendmsg(sqe, fd, &message_->header, kSendFlags);
}

void Outbox::sent(int result) {
  in_flight_ = false;
  std::size_t left = static_cast<std::size_t>(std::max(result, 0));
  while (left > 0) {
    const std::size_t rest = rest_of(first_).iov_len;
    if (left < rest) {
      offset_ += left;
      return;
    }
    left -= rest;
    offset_ = 0;
    sending_[first_++] = Loan{};
  }
  if (first_ == sending_.size()) {
    sending_.clear();
    first_ = 0;
  }
}

void Outbox::discard() {
  waiting_.clear();
  if (in_flight_) return;
  sending_.clear();
  first_ = offset_ = 0;
}

}  // namespace weir::server
