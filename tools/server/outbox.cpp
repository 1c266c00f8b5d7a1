#include "outbox.h"

#include <algorithm>
#include <cerrno>

namespace weir::server {
namespace {

constexpr std::size_t kMostSpares = 64;

}  // namespace

/// Queues that were in use and have their memory still, of this thread.
std::vector<std::unique_ptr<Outbox::Queue>>& Outbox::spares() {
  thread_local std::vector<std::unique_ptr<Queue>> spares = [] {
    std::vector<std::unique_ptr<Queue>> none;
    none.reserve(kMostSpares);
    return none;
  }();
  return spares;
}

Outbox::QueueHold Outbox::take_queue() {
  std::vector<std::unique_ptr<Queue>>& all = spares();
  if (all.empty()) return QueueHold(new Queue);
  QueueHold queue(all.back().release());
  all.pop_back();
  return queue;
}

void Outbox::GiveBack::operator()(Queue* queue) const {
  std::unique_ptr<Queue> spare(queue);
  spare->loans.clear();
  spare->first = spare->offset = spare->in_flight = spare->size = 0;
  if (spares().size() < kMostSpares) spares().push_back(std::move(spare));
}

std::uint32_t Outbox::size_of(const Loan& loan) {
  return static_cast<std::uint32_t>((loan.capacity() + kUnit - 1) / kUnit);
}

void Outbox::push(Loan&& loan) {
  if (empty()) queue_ = take_queue();
  queue_->size += size_of(loan);
  queue_->loans.push_back(std::move(loan));
}

iovec Outbox::rest_of(std::size_t index) const {
  const Loan& loan = queue_->loans[index];
  const std::size_t skip = index == queue_->first ? queue_->offset : 0;
  return {loan.data() + skip, loan.size() - skip};
}

const msghdr& Outbox::begin_send() {
  Queue& queue = *queue_;
  queue.loans.erase(queue.loans.begin(), queue.loans.begin() + static_cast<std::ptrdiff_t>(queue.first));
  queue.first = 0;
  queue.in_flight = std::min(queue.loans.size(), kMostPieces);
  for (std::size_t i = 0; i < queue.in_flight; ++i) queue.pieces[i] = rest_of(i);
  queue.message.msg_iov = queue.pieces.data();
  queue.message.msg_iovlen = queue.in_flight;
  return queue.message;
}

void Outbox::sent(int result) {
  queue_->in_flight = 0;
  std::size_t left = static_cast<std::size_t>(std::max(result, 0));
  while (left > 0) {
    const std::size_t rest = rest_of(queue_->first).iov_len;
    if (left < rest) {
      queue_->offset += left;
      return;
    }
    left -= rest;
    queue_->offset = 0;
    Loan& gone = queue_->loans[queue_->first++];
    queue_->size -= size_of(gone);
    gone = Loan{};
  }
  if (queue_->first == queue_->loans.size()) queue_ = nullptr;
}

void Outbox::discard() {
  if (!in_flight()) {
    queue_ = nullptr;
    return;
  }
  while (queue_->loans.size() > queue_->in_flight) {  // which are the first ones
    queue_->size -= size_of(queue_->loans.back());
    queue_->loans.pop_back();
  }
}

int Outlet::try_send() const {
  const ssize_t sent = sendmsg(fd(), &outbox.message(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -errno : static_cast<int>(sent);
}

}  // namespace weir::server
