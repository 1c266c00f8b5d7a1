// What is asked of the kernel, once a turn.

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "os/socket.h"
#include "receive/receiver_state.h"

namespace weir::detail {
namespace {

using Kind = Submitter::Kind;
using Ring = StrategyFacts::Ring;

}  // namespace

bool ReceiverState::turn() noexcept {
  idle_.end_batch(connections_);
  idle_.expire([this](std::uint32_t slot) { check_time(slot); });
  groups_.withdraw_idle(idle_.now());
  bool all = cancel_queued();
  if (!stopping_) {
    all = wake_parked() && all;
    if (parked_.empty()) groups_.replenish(idle_.now());
    all = arm_queued() && all;
    all = wait_for_buffer() && all;
  }
  idle_.call_old();
  return !all;
}

/// False when there is a buffer, which has come home just now or which a ring lends. Else the event tells of the next,
/// and of what there is to deliver.
bool ReceiverState::wait_for_buffer() noexcept {
  if (parked_.empty()) parking_.remove_waiter();  // a buffer that comes home, or has for us, is for others
  if (parked_.empty() && to_deliver_.empty()) return true;
  if (!parked_.empty() && (groups_.lender() != Groups::kNone || !parking_.wait())) return false;
  event_armed_ = event_armed_ || submitter_->poll({.kind = Kind::event}, parking_.event()) == 0;
  return event_armed_;
}

bool ReceiverState::cancel_queued() noexcept {
  while (!to_cancel_.empty()) {
    const std::uint32_t slot = to_cancel_.front();
    Connection& connection = connections_[slot];
    if (connection.request != Request::none) {
      const Kind kind = connection.request == Request::poll ? Kind::poll : Kind::receive;
      if (submitter_->cancel(id_of(kind, slot), connection.fd) != 0) return false;
      add_alone(record_->cancels, 1);
    }
    to_cancel_.pop();
    settle(slot);
  }
  if (!stopping_ || !event_armed_) return true;
  if (submitter_->cancel({.kind = Kind::event}, parking_.event()) != 0) return false;
  event_armed_ = false;  // asked once
  return true;
}

bool ReceiverState::arm_queued() noexcept {
  while (!to_arm_.empty()) {
    const std::uint32_t slot = to_arm_.front();
    const Outcome outcome = connections_[slot].wanted ? submit(slot) : Outcome::done;
    if (outcome == Outcome::queue_full) return false;
    to_arm_.pop();
    const int there = outcome == Outcome::no_buffer ? park(slot) : 1;
    if (there <= 0 && there != -EAGAIN && there != -EINTR) connections_[slot].keep_end(there);
    settle(slot);
  }
  return true;
}

/// As many as there are buffers: each has its own then, and no other connection can be faster.
bool ReceiverState::wake_parked() noexcept {
  Outcome outcome = Outcome::done;
  while (!parked_.empty()) {
    const std::uint32_t slot = parked_.front();
    const bool wanted = connections_[slot].wanted;
    if (wanted) outcome = wake(slot);
    if (outcome != Outcome::done) break;
    parked_.pop();
    settle(slot);
    if (wanted) add_alone(record_->wakes, 1);
  }
  note_parked();
  return outcome != Outcome::queue_full;
}

ReceiverState::Outcome ReceiverState::wake(std::uint32_t slot) noexcept {
  const Connection& connection = connections_[slot];
  const bool by_ring = connection.strategy->lazy && !connection.retried;
  const Outcome outcome = by_ring ? retry_from_ring(slot) : receive_into_loan(slot, Request::recv_now);
  return outcome == Outcome::no_buffer ? borrow(slot) : outcome;
}

/// What the rings hold is for those who wait too: another's may be full while the pool has nothing left.
ReceiverState::Outcome ReceiverState::borrow(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const std::uint8_t group = groups_.lender();
  if (group == Groups::kNone) return Outcome::no_buffer;
  connection.group = group;
  const int error = submitter_->receive_from_ring(id_of(Kind::receive, slot), connection.fd,
                                                  {.group = groups_[group].group(), .once = true});
  const Outcome outcome = note_asked(slot, Request::recv_spare_ring, error);
  promise(connection);
  return outcome;
}

ReceiverState::Outcome ReceiverState::submit(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const Request next = connection.next_request();
  if (next == Request::poll) return note_asked(slot, next, submitter_->poll(id_of(Kind::poll, slot), connection.fd));
  if (next == Request::from_ring) return receive_from_ring(slot);
  return receive_into_loan(slot, next);
}

/// The ring for its next multishot.
RingSlots& ReceiverState::choose_ring(Connection& connection) noexcept {
  if (connection.strategy->sized) {
    connection.armed_for = connection.predictor.predict();
    connection.own_group =
        groups_.need_or(*connection.strategy, connection.armed_for, connection.own_group, idle_.now());
  }
  connection.group = connection.own_group;
  return groups_[connection.group];
}

/// With an empty ring it looks for a buffer only when there is data, else it would end at once with -ENOBUFS.
ReceiverState::Outcome ReceiverState::receive_from_ring(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const RingSlots& slots = choose_ring(connection);
  if (slots.filled() == 0 && parked_.empty()) groups_.replenish(connection.group, idle_.now());
  const Submitter::FromRing how{
      .group = slots.group(), .polls_first = slots.filled() == 0, .bundles = connection.strategy->ring == Ring::bundle};
  connection.may_hide_end = how.polls_first;
  return note_asked(slot, Request::from_ring,
                    submitter_->receive_from_ring(id_of(Kind::receive, slot), connection.fd, how));
}

/// Gives a lazy ring a buffer for the data that found none. Another connection may be faster; next time, it gets one of
/// its own.
ReceiverState::Outcome ReceiverState::retry_from_ring(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  RingSlots& slots = choose_ring(connection);
  Loan loan = pool_.lend(slots.buffer_bytes());
  if (!slots.provide(loan)) {  // there is none, or the ring has as many already, whoever they are for
    loan = Loan{};
    return receive_into_loan(slot, Request::recv_now);
  }
  connection.retried = true;
  const Outcome outcome = receive_from_ring(slot);
  promise(connection);
  return outcome;
}

/// Without a buffer, one that has no data yet waits by poll; one that has is parked, behind those that are parked
/// already.
ReceiverState::Outcome ReceiverState::receive_into_loan(std::uint32_t slot, Request request) noexcept {
  Connection& connection = connections_[slot];
  const bool overtakes = connection.queue != Queue::parked && !parked_.empty();
  Loan loan = overtakes ? Loan{} : lend(connection.predictor.predict());
  if (!loan && request == Request::recv_now) return Outcome::no_buffer;
  if (!loan) {
    connection.silent = true;
    return submit(slot);
  }
  const int error =
      submitter_->receive_into(id_of(Kind::receive, slot), connection.fd, loan.bytes(), request == Request::recv_now);
  if (error == 0) buffers_->submit(slot, std::move(loan));
  return note_asked(slot, request, error);
}

/// A request that failed at once ends the connection.
ReceiverState::Outcome ReceiverState::note_asked(std::uint32_t slot, Request request, int error) noexcept {
  Connection& connection = connections_[slot];
  if (error == -EAGAIN) return Outcome::queue_full;
  if (error != 0) {
    connection.keep_end(error);
    return Outcome::done;
  }
  connection.request = request;
  if (connection.uses_ring()) groups_.note_asked(connection.group);
  if (request == Request::poll) add_alone(record_->idle, 1);
  idle_.start(slot, connection);
  return Outcome::done;
}

/// Those that are larger than a ring's may have an eighth of the pool, each size, and no more than are there: else
/// those who are slow to give them back could hold all of it with little data.
bool ReceiverState::may_lend(std::uint32_t bytes) const noexcept {
  if (bytes <= options_.receive_bytes) return true;
  const auto index = static_cast<std::size_t>(std::lower_bound(sizes_.begin(), sizes_.end(), bytes) - sizes_.begin());
  const LaneRecord& lane = pool_.state().home_depot(index).record();
  const std::uint64_t taken = lane.capacity.load(std::memory_order_relaxed) * bytes;
  return taken < pool_.state().limits().most / 8 || lane.free.load(std::memory_order_relaxed) > 0;
}

/// Of the predicted size; or of any other, rather than none.
Loan ReceiverState::lend(std::uint32_t bytes) noexcept {
  if (!may_lend(bytes)) bytes = options_.receive_bytes;
  Loan loan = pool_.lend(bytes);
  for (auto size = sizes_.rbegin(); !loan && size != sizes_.rend(); ++size) {
    if (*size != bytes) loan = pool_.lend(*size);
  }
  return loan;
}

/// A buffer of the group is for its request, where it has one now: nobody else shall borrow it.
void ReceiverState::promise(Connection& connection) noexcept {
  if (connection.request == Request::none) return;
  connection.promised = true;
  groups_.promise(connection.group);
}

/// No buffer is needed to see that the stream has ended, or that there is nothing yet: it is parked when there is data,
/// and the result is positive.
int ReceiverState::park(std::uint32_t slot) noexcept {
  const int there = os::peek(connections_[slot].fd);
  if (there > 0) {
    parked_.push(slot);
    note_parked();
    probe::park(options_.name.c_str(), connections_[slot].fd);
  } else {
    connections_[slot].note_nothing();
  }
  return there;
}

void ReceiverState::note_parked() noexcept { record_->parked.store(parked(), std::memory_order_relaxed); }

/// A request that does not end is told of once: its buffer stays the kernel's.
void ReceiverState::tell_stuck(const Connection& connection) noexcept {
  pool_.state().alerts().tell(AlertKind::stuck_cancel, [&] {
    return "a request of file " + std::to_string(connection.fd) +
           " was cancelled ten seconds ago and has not ended: does its thread submit, and see all completions?";
  });
}

void ReceiverState::check_time(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  if (connection.request == Request::none) return;
  if (connection.cancelling) return tell_stuck(connection);
  const Lapse lapse = connection.queue == Queue::none ? idle_.check(connection) : Lapse::none;
  if (lapse == Lapse::none) return idle_.start(slot, connection);
  connection.lapse = lapse;
  if (lapse == Lapse::idle) probe::reclaim(options_.name.c_str(), connection.fd);
  cancel(slot);
  settle(slot);
}

}  // namespace weir::detail
