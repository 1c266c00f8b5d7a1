// What the kernel says, and who is told.

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/fatal.h"
#include "os/socket.h"
#include "receive/receiver_state.h"

namespace weir::detail {
namespace {

using Kind = Submitter::Kind;

bool is_bundle(const Connection& connection) { return connection.strategy->ring == StrategyFacts::Ring::bundle; }

}  // namespace

ReceiverState::Delivery ReceiverState::accept(const io_uring_cqe& cqe) noexcept {
  submitter_->note_completion((cqe.flags & IORING_CQE_F_MORE) == 0);
  const RequestId id = Submitter::id_of(cqe.user_data);
  switch (id.kind) {
    case Kind::receive:
      check_id(id);
      return accept_receive(id.connection, cqe);
    case Kind::poll:
      check_id(id);
      return accept_poll(id.connection, cqe.res);
    case Kind::event:
      return accept_event();
    case Kind::cancel:
      return {};
  }
  return {};
}

/// A registered file stays so from one request to the next: the event of one that nobody waits for ends that.
ReceiverState::Delivery ReceiverState::accept(const epoll_event& event) noexcept {
  const RequestId id = Submitter::id_of(event.data.u64);
  if (id.kind == Kind::event) return accept_event();
  const std::uint32_t slot = id.connection;
  if (slot >= connections_.size()) base::fatal("an event of a connection that the receiver has not");
  const Connection& connection = connections_[slot];
  if (id.generation != connection.generation) return {};  // of the same batch as what ended it
  if (connection.request == Request::poll) return accept_poll(slot, 1);
  if (connection.request == Request::none) {
    end_request(slot);
    return {};
  }
  Loan buffer = buffers_->finish(slot);
  const Received received{os::receive(connection.fd, buffer.bytes()), buffer.size(), true};
  buffer.truncate(static_cast<std::uint32_t>(std::max(received.result, 0)));
  return accept_result(slot, received, std::move(buffer));
}

void ReceiverState::check_id(RequestId id) const noexcept {
  const bool known = id.connection < connections_.size() && connections_[id.connection].request != Request::none &&
                     connections_[id.connection].generation == id.generation;
  if (!known) base::fatal("a completion of a request that the receiver has not: was one given to complete() twice?");
}

ReceiverState::Delivery ReceiverState::accept_event() noexcept {
  event_armed_ = false;
  parking_.clear_event();
  Delivery delivery;
  delivery.more = !to_deliver_.empty();
  return delivery;
}

ReceiverState::Delivery ReceiverState::accept_poll(std::uint32_t slot, int result) noexcept {
  Connection& connection = connections_[slot];
  end_poll(connection, result);
  Delivery delivery;
  if (result < 0) {
    delivery = deliver_end(slot, result);
  } else if (takes_now(connection)) {
    delivery = receive_now(slot);
  }
  settle(slot);
  return delivery;
}

/// Its request, a poll where it had one, is with the kernel no more.
void ReceiverState::end_poll(Connection& connection, int result) noexcept {
  if (connection.request == Request::poll) subtract_alone(record_->idle, 1);
  connection.note_poll(result);
}

ReceiverState::Delivery ReceiverState::accept_receive(std::uint32_t slot, const io_uring_cqe& cqe) noexcept {
  const Received received{cqe.res, capacity_of(slot), (cqe.flags & IORING_CQE_F_MORE) == 0};
  Loan data = data_of(slot, cqe);
  const Connection& connection = connections_[slot];
  if (received.last && connection.uses_ring()) groups_.note_ended(connection.group, idle_.now());
  Delivery delivery = accept_result(slot, received, std::move(data));
  if (!received.last && (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) == 0) look_for_end(slot);
  delivery.more = rest_.bytes > 0;
  return delivery;
}

ReceiverState::Delivery ReceiverState::accept_result(std::uint32_t slot, const Received& received, Loan data) noexcept {
  Connection& connection = connections_[slot];
  if (received.result == -ECANCELED && connection.lapse == Lapse::idle) add_alone(record_->reclaimed, 1);
  connection.note_receive(received.result, received.capacity, received.last, idle_.now());
  Delivery delivery;
  if (received.result > 0) {
    delivery = deliver(slot, std::move(data));
  } else if (received.result != -ENOBUFS) {
    delivery = deliver_end(slot, received.result);
  } else {
    add_alone(record_->enobufs, 1);
    if (takes_now(connection)) delivery = receive_now(slot);
  }
  if (connection.request == Request::from_ring && is_misplaced(connection)) cancel(slot);
  settle(slot);
  return delivery;
}

/// A receive that polled first because its ring was empty may tell of the data, when the ring was filled in between,
/// and never of an end that was there already (docs/kernel.md). So the socket is asked once, when its data is all told.
void ReceiverState::look_for_end(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const bool may_hide_end = std::exchange(connection.may_hide_end, false);
  if (!may_hide_end || !connection.wanted) return;  // the file of one that was stopped may be closed
  if (!os::is_readable(connection.fd)) return;
  cancel(slot);
  settle(slot);
}

/// Of the buffers that the connection's request is for.
std::uint32_t ReceiverState::capacity_of(std::uint32_t slot) noexcept {
  const Connection& connection = connections_[slot];
  return connection.uses_ring() ? groups_[connection.group].buffer_bytes() : buffers_->bytes(slot);
}

/// The buffer that comes back with the completion, if any does; what more a bundle brings is for next().
Loan ReceiverState::data_of(std::uint32_t slot, const io_uring_cqe& cqe) noexcept {
  Connection& connection = connections_[slot];
  if (std::exchange(connection.promised, false)) groups_.settle_promise(connection.group);
  if (!connection.uses_ring()) {
    Loan own = buffers_->finish(slot);
    own.truncate(static_cast<std::uint32_t>(std::max(cqe.res, 0)));
    return own;
  }
  if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) return {};
  Loan first = groups_[connection.group].claim(cqe);
  if (connection.request == Request::from_ring && is_bundle(connection)) {
    rest_ = {.slot = slot,
             .bid = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT),
             .bytes = static_cast<std::uint32_t>(cqe.res) - first.size()};
  }
  return first;
}

ReceiverState::Delivery ReceiverState::next() noexcept {
  if (rest_.bytes == 0) return next_kept();
  Loan data = groups_[connections_[rest_.slot].group].claim_next(rest_.bid, rest_.bytes);
  rest_.bytes -= data.size();
  Delivery delivery = deliver(rest_.slot, std::move(data));
  if (rest_.bytes == 0) settle(rest_.slot);
  delivery.more = rest_.bytes > 0;
  return delivery;
}

/// What was kept for connections that want it again.
ReceiverState::Delivery ReceiverState::next_kept() noexcept {
  const std::uint32_t slot = to_deliver_.front();
  Connection& connection = connections_[slot];
  Delivery delivery;
  if (connection.wanted && !connection.kept.empty()) {
    delivery = {connection.inflow, {kept_.pop(connection.kept)}};
  } else if (connection.wanted && connection.end != Connection::kNoEnd) {
    delivery = tell_end(slot, std::exchange(connection.end, Connection::kNoEnd));
  }
  if (!connection.wanted || !connection.has_undelivered()) {
    to_deliver_.pop();
    settle(slot);
  }
  delivery.more = !to_deliver_.empty();
  return delivery;
}

/// Somebody waits for the data that is known to be there, and it is the next in order. One whose cancel is queued is
/// seen to when it leaves that queue.
bool ReceiverState::takes_now(const Connection& connection) const noexcept {
  return connection.wanted && connection.request == Request::none && connection.queue == Queue::none &&
         !connection.has_undelivered();
}

/// Receives at once what there is, for one that nobody is parked before.
ReceiverState::Delivery ReceiverState::receive_now(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  Loan data = parked_.empty() ? lend(connection.predictor.predict()) : Loan{};
  if (!data) return park_or_end(slot);
  const int result = os::receive(connection.fd, data.bytes());
  connection.note_taken(result, data.size(), idle_.now());
  if (result <= 0) return deliver_end(slot, result);
  data.truncate(static_cast<std::uint32_t>(result));
  return deliver(slot, std::move(data));
}

ReceiverState::Delivery ReceiverState::park_or_end(std::uint32_t slot) noexcept {
  const int there = park(slot);
  return there > 0 ? Delivery{} : deliver_end(slot, there);
}

/// Keeps what may not be told yet.
ReceiverState::Delivery ReceiverState::deliver(std::uint32_t slot, Loan data) noexcept {
  Connection& connection = connections_[slot];
  if (connection.inflow == nullptr || connection.end != Connection::kNoEnd) return {};
  add_alone(record_->receives, 1);
  add_alone(record_->bytes, data.size());
  if (connection.wanted && connection.kept.empty()) {
    return {connection.inflow, {std::move(data)}};
  }
  if (!kept_.push(connection.kept, std::move(data))) connection.keep_end(-ENOMEM);
  return {};
}

ReceiverState::Delivery ReceiverState::deliver_end(std::uint32_t slot, int result) noexcept {
  Connection& connection = connections_[slot];
  if (result == -ECANCELED) {
    if (is_late(connection)) result = -ETIMEDOUT;
    connection.lapse = Lapse::none;
  }
  const bool armed_again = result == -ECANCELED || result == -EINTR || result == -EAGAIN;
  if (connection.inflow == nullptr || armed_again || connection.end != Connection::kNoEnd) return {};
  if (connection.wanted && connection.kept.empty()) return tell_end(slot, result);
  connection.keep_end(result);
  return {};
}

ReceiverState::Delivery ReceiverState::tell_end(std::uint32_t slot, int result) noexcept {
  Inflow* const inflow = connections_[slot].inflow;
  detach(*inflow);
  return {inflow, {Loan{}, -result}};
}

/// Its deadline is over, and that is not for a loop that was late itself: then its data lies in the socket.
bool ReceiverState::is_late(const Connection& connection) noexcept {
  return connection.lapse == Lapse::deadline && connection.wanted && !os::is_readable(connection.fd);
}

/// A smaller or larger ring would suit it.
bool ReceiverState::is_misplaced(const Connection& connection) const noexcept {
  return connection.strategy->sized &&
         (connection.armed_for != connection.predictor.predict() || !connection.suits_ring());
}

}  // namespace weir::detail
