#include "outbox.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

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
  spare->pieces.clear();
  spare->first = spare->offset = spare->in_flight = spare->size = spare->lent = 0;
  spare->stalled_since = {};
  if (spares().size() < kMostSpares) spares().push_back(std::move(spare));
}

std::uint32_t Outbox::units_of(std::uint32_t bytes) { return static_cast<std::uint32_t>((bytes + kUnit - 1) / kUnit); }

void Outbox::push(Loan&& loan) {
  if (empty()) queue_ = take_queue();
  queue_->pieces.push_back({.loan = std::move(loan), .copy = {}});
  queue_->count(queue_->pieces.back());
}

void Outbox::give_back() {
  Queue& queue = *queue_;
  for (std::size_t i = queue.first + queue.in_flight; i < queue.pieces.size(); ++i) {
    Piece& piece = queue.pieces[i];
    if (piece.copy) continue;
    const iovec rest = rest_of(i);
    std::unique_ptr<std::byte[]> copy(new (std::nothrow) std::byte[rest.iov_len]);
    if (!copy) return;
    std::memcpy(copy.get(), rest.iov_base, rest.iov_len);
    if (i == queue.first) queue.offset = 0;
    queue.discount(piece);
    piece = {.loan = {}, .copy = std::move(copy), .copied = static_cast<std::uint32_t>(rest.iov_len)};
    queue.count(piece);
  }
}

iovec Outbox::rest_of(std::size_t index) const {
  const iovec all = queue_->pieces[index].bytes();
  const std::size_t skip = index == queue_->first ? queue_->offset : 0;
  return {static_cast<std::byte*>(all.iov_base) + skip, all.iov_len - skip};
}

const msghdr& Outbox::begin_send() {
  Queue& queue = *queue_;
  queue.pieces.erase(queue.pieces.begin(), queue.pieces.begin() + static_cast<std::ptrdiff_t>(queue.first));
  queue.first = 0;
  queue.in_flight = std::min(queue.pieces.size(), kMostPieces);
  for (std::size_t i = 0; i < queue.in_flight; ++i) queue.parts[i] = rest_of(i);
  queue.message.msg_iov = queue.parts.data();
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
    Piece& gone = queue_->pieces[queue_->first++];
    queue_->discount(gone);
    gone = {};
  }
  if (queue_->first == queue_->pieces.size()) queue_ = nullptr;
}

void Outbox::discard() {
  if (!in_flight()) {
    queue_ = nullptr;
    return;
  }
  while (queue_->pieces.size() > queue_->in_flight) {  // which are the first ones
    queue_->discount(queue_->pieces.back());
    queue_->pieces.pop_back();
  }
}

Outbox::Clock::time_point Outbox::stalled_since(std::uint64_t acknowledged, Clock::time_point now) {
  const bool moved = std::exchange(queue_->acknowledged, acknowledged) != acknowledged;
  if (moved || queue_->stalled_since == Clock::time_point{}) queue_->stalled_since = now;
  return queue_->stalled_since;
}

int Outlet::try_send() const {
  const ssize_t sent = sendmsg(fd(), &outbox.message(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -errno : static_cast<int>(sent);
}

}  // namespace weir::server
