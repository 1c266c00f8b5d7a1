#include "outbox.h"

#include <algorithm>
#include <cerrno>

namespace weir::server {
namespace {

constexpr std::size_t kMostPieces = 16;

}  // namespace

iovec Outbox::rest_of(std::size_t index) const {
  const Loan& loan = sending_[index];
  const std::size_t skip = index == first_ ? offset_ : 0;
  return {loan.data() + skip, loan.size() - skip};
}

const msghdr& Outbox::begin_send() {
  if (sending_.empty()) sending_.swap(waiting_);
  in_flight_ = true;
  pieces_.clear();
  const std::size_t end = std::min(sending_.size(), first_ + kMostPieces);
  for (std::size_t i = first_; i < end; ++i) pieces_.push_back(rest_of(i));
  message_.msg_iov = pieces_.data();
  message_.msg_iovlen = pieces_.size();
  return message_;
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
    size_ -= size_of(sending_[first_]);
    sending_[first_++] = Loan{};
  }
  if (first_ == sending_.size()) {
    sending_.clear();
    first_ = 0;
  }
}

void Outbox::discard() {
  for (const Loan& loan : waiting_) size_ -= size_of(loan);
  waiting_.clear();
  if (in_flight_) return;
  sending_.clear();
  first_ = offset_ = size_ = 0;
}

int Outlet::try_send() const {
  const ssize_t sent = sendmsg(fd(), &outbox.message(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -errno : static_cast<int>(sent);
}

}  // namespace weir::server
