#include "receive/receiver_state.h"

#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/fatal.h"
#include "os/process.h"
#include "os/uring.h"

namespace weir::detail {
namespace {

using Kind = Requests::Kind;
using std::chrono::milliseconds;

ReceiverRecord* take_receiver_record() {
  ReceiverRecord* record = take_record(segment().receivers);
  if (record == nullptr) throw Error(EMFILE, "this process has 256 receivers already");
  return record;
}

/// The classes up to the one that holds receive_bytes.
std::vector<std::uint32_t> receive_sizes(const PoolState& pool) {
  const std::size_t largest = receive_class(pool, pool.options().receive_bytes);
  std::vector<std::uint32_t> sizes;
  for (std::size_t i = 0; i <= largest; ++i) sizes.push_back(pool.classes()[i].bytes);
  return sizes;
}

Strategy default_strategy(const Options& options, bool can_ring) {
  if (options.recv != Strategy::automatic) return options.recv;
  return can_ring ? Strategy::ring : Strategy::poll_first;
}

/// A sixteenth of the shortest time that is watched.
milliseconds tick_of(const Options& options) {
  std::uint32_t shortest = UINT32_MAX;
  for (const std::uint32_t each : {options.idle_ms, options.deadline_ms}) {
    if (each > 0) shortest = std::min(shortest, each);
  }
  return milliseconds(std::max(1U, shortest / 16));
}

}  // namespace

ReceiverState::ReceiverState(Pool& pool, io_uring& ring, std::uint16_t group)
    : pool_(pool),
      options_(pool.options()),
      can_ring_(os::has_multishot_receive(ring)),
      strategy_(default_strategy(options_, can_ring_)),
      sizes_(receive_sizes(pool.state())),
      requests_(ring, group),
      record_(take_receiver_record()),
      buffers_(std::make_unique<RequestBuffers>(pool.state())),
      now_(os::now()),
      wheel_(tick_of(options_), now_) {
  if (facts_of(strategy_).ring) need_ring();
  record_->pool = pool.state().id();
  record_->thread = os::thread_id();
  record_->strategy = static_cast<std::uint32_t>(strategy_);
  record_->asked = static_cast<std::uint32_t>(options_.recv);
}

ReceiverState::~ReceiverState() {
  if (quiet()) return;
  pool_.state().quarantine();
  base::warn(
      "a receiver was destroyed with %zu requests in flight: %zu buffers are lost to the pool; call stop_all() and "
      "run the loop until quiet()",
      requests_.in_flight(), buffers_->count() + (slots_ ? slots_->stock() : 0));
  (void)slots_.release();  // the kernel may still write there
  (void)buffers_.release();
}

const StrategyFacts& ReceiverState::resolve(Strategy strategy) const noexcept {
  return facts_of(strategy == Strategy::automatic ? strategy_ : strategy);
}

void ReceiverState::need_ring() {
  if (slots_) return;
  if (!can_ring_) {
    throw Error(ENOSYS, "multishot receives need Linux 6.0 or newer: set WEIR_RECV=auto, or choose another strategy");
  }
  slots_.reset(
      new RingSlots(pool_.state(), requests_.ring(), requests_.group(), options_.ring_entries, options_.receive_bytes));
}

/// The clock is read once a turn, and once for the completions after it.
os::Time ReceiverState::time() noexcept {
  if (time_is_old_ && times()) now_ = os::now();
  time_is_old_ = false;
  return now_;
}

void ReceiverState::start(Inflow& inflow, int fd, Strategy strategy) {
  if (inflow.receiver_ != nullptr) base::fatal("an inflow was started twice: stop it first");
  const StrategyFacts& facts = resolve(strategy);
  if (facts.ring) need_ring();
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(connections_.size()));
    connections_.emplace_back();
    buffers_->add_connection();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  connections_[slot] = {.inflow = &inflow,
                        .fd = fd,
                        .used = true,
                        .wanted = true,
                        .strategy = &facts,
                        .predictor = Predictor(sizes_),
                        .active = time()};
  inflow.receiver_ = this;
  inflow.slot_ = slot;
  add_alone(record_->connections, 1);
  settle(slot);
}

void ReceiverState::want(Inflow& inflow, bool wanted) noexcept {
  if (inflow.receiver_ == nullptr) return;
  Connection& connection = connections_[inflow.slot_];
  if (wanted && !connection.wanted) connection.active = time();
  connection.wanted = wanted;
  settle(inflow.slot_);
}

void ReceiverState::stop(Inflow& inflow) noexcept {
  if (inflow.receiver_ == nullptr) return;
  detach(inflow);
  settle(inflow.slot_);
}

void ReceiverState::detach(Inflow& inflow) noexcept {
  inflow.receiver_ = nullptr;
  Connection& connection = connections_[inflow.slot_];
  connection.inflow = nullptr;
  connection.wanted = false;
  record_->connections.store(record_->connections.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

void ReceiverState::stop_all() noexcept {
  stopping_ = true;
  for (const Connection& connection : connections_) {
    if (connection.inflow != nullptr) stop(*connection.inflow);
  }
  parking_.stop_waiting();  // a buffer that comes home now is for others
  if (watching_) requests_.cancel(Kind::event, 0);
}

/// Brings what the connection has in line with what is wanted of it.
void ReceiverState::settle(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const bool armed = connection.request != Request::none;
  if (connection.wanted && !armed && connection.queue == Queue::none) {
    connection.queue = Queue::to_arm;
    to_arm_.push_back(slot);
  } else if (!connection.wanted && armed) {
    cancel(slot);
  } else if (connection.used && connection.inflow == nullptr && !armed && connection.queue == Queue::none) {
    connection.used = false;
    wheel_.remove(slot);
    free_.push_back(slot);
  }
}

/// REQUIRES: the connection has a request.
void ReceiverState::cancel(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  if (std::exchange(connection.cancelling, true)) return;
  requests_.cancel(connection.request == Request::poll ? Kind::poll : Kind::receive, slot);
}

void ReceiverState::park(std::uint32_t slot) noexcept {
  connections_[slot].queue = Queue::parked;
  parking_.park(slot, connections_[slot].woken);
  record_->parked.store(parked(), std::memory_order_relaxed);
}

Inflow* ReceiverState::accept(const io_uring_cqe& cqe, Received& received) noexcept {
  requests_.note(cqe);
  const std::uint32_t slot = Requests::connection_of(cqe);
  switch (Requests::kind_of(cqe)) {
    case Kind::receive:
      return accept_receive(slot, cqe, received);
    case Kind::poll:
      return accept_poll(slot, cqe, received);
    case Kind::event:
      watching_ = false;
      parking_.clear_event();
      return nullptr;
    case Kind::cancel:
      return nullptr;
  }
  return nullptr;
}

Inflow* ReceiverState::accept_poll(std::uint32_t slot, const io_uring_cqe& cqe, Received& received) noexcept {
  Connection& connection = connections_[slot];
  connection.note_poll(cqe.res);
  Inflow* const inflow = cqe.res < 0 ? deliver(connection, cqe.res, received) : nullptr;
  settle(slot);
  return inflow;
}

Inflow* ReceiverState::accept_receive(std::uint32_t slot, const io_uring_cqe& cqe, Received& received) noexcept {
  Connection& connection = connections_[slot];
  Loan data = data_of(slot, cqe);
  if (cqe.res > 0 && connection.inflow != nullptr) received.data = std::move(data);
  connection.note_receive(cqe.res, (cqe.flags & IORING_CQE_F_MORE) == 0, time());
  if (cqe.res == -ENOBUFS) {
    add_alone(record_->enobufs, 1);
    if (connection.wanted) park(slot);
  }
  Inflow* const inflow = deliver(connection, cqe.res, received);
  parking_.note_answer(std::exchange(connection.woken, 0));
  settle(slot);
  return inflow;
}

/// The buffer that comes back with the completion, if any does.
Loan ReceiverState::data_of(std::uint32_t slot, const io_uring_cqe& cqe) noexcept {
  if (connections_[slot].request != Request::from_ring) {
    return buffers_->finish(slot, static_cast<std::uint32_t>(std::max(cqe.res, 0)));
  }
  return (cqe.flags & IORING_CQE_F_BUFFER) != 0 ? slots_->claim(cqe) : Loan{};
}

/// The inflow whose handler is due, with `received` filled in; nullptr when nothing is to be told, or to nobody.
Inflow* ReceiverState::deliver(Connection& connection, int result, Received& received) noexcept {
  Inflow* const inflow = connection.inflow;
  const bool timed_out = result == -ECANCELED && std::exchange(connection.lapse, Lapse::none) == Lapse::deadline;
  if (timed_out && connection.wanted) result = -ETIMEDOUT;
  const bool armed_again = result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
  if (inflow == nullptr || armed_again) return nullptr;
  if (result > 0) {
    add_alone(record_->receives, 1);
    add_alone(record_->bytes, static_cast<std::uint64_t>(result));
    return inflow;
  }
  received.error = -result;
  detach(*inflow);
  return inflow;
}

bool ReceiverState::turn() noexcept {
  time_is_old_ = true;
  if (times()) wheel_.expire(time(), [this](std::uint32_t slot) { check_time(slot); });
  time_is_old_ = true;
  bool all = cancel_queued();
  if (stopping_) return !all;
  if (slots_) slots_->replenish();
  all = arm_queued() && all;
  parking_.start_round(requests_.is_settled());
  all = wake_parked() && all;
  if (parking_.empty()) return !all;
  if (wait_for_buffer()) return !(watch_event() && all);
  // There is stock, or just now a buffer came home. Where no completion will end the wait, the rest is due at once.
  return !all || io_uring_cq_ready(&requests_.ring()) == 0;
}

/// True when the first of the parked can only be helped by a buffer that comes home, which then will be signalled.
bool ReceiverState::wait_for_buffer() noexcept {
  const Connection& first = connections_[parking_.front()];
  if (first.strategy->ring) return slots_->stock() == 0 && parking_.wait(pool_.state(), slots_->depot());
  const std::size_t index = pool_.state().classes().index_for(first.predictor.predict());
  return parking_.wait(pool_.state(), pool_.state().home_depot(index));
}

bool ReceiverState::cancel_queued() noexcept {
  add_alone(record_->cancels, requests_.prepare_cancels());
  return !requests_.has_cancels();
}

bool ReceiverState::arm_queued() noexcept {
  for (; !to_arm_.empty(); to_arm_.pop_front()) {
    const std::uint32_t slot = to_arm_.front();
    const Outcome outcome = arm(slot);
    if (outcome == Outcome::queue_full) return false;
    if (outcome == Outcome::no_buffer) park(slot);
  }
  return true;
}

/// Arms as many parked receives as there are buffers: more would only come back with -ENOBUFS.
bool ReceiverState::wake_parked() noexcept {
  bool all = true;
  while (!parking_.empty()) {
    const std::uint32_t slot = parking_.front();
    Connection& connection = connections_[slot];
    const bool from_ring = connection.wanted && connection.strategy->ring;
    if (from_ring && parking_.unanswered() >= slots_->stock()) break;
    const bool wanted = connection.wanted;
    const Outcome outcome = arm(slot);
    all = outcome != Outcome::queue_full;
    if (outcome != Outcome::done) break;
    parking_.pop();
    if (wanted) add_alone(record_->wakes, 1);
    if (!from_ring) continue;
    connection.woken = parking_.round();
    parking_.note_woken();
  }
  record_->parked.store(parked(), std::memory_order_relaxed);
  return all;
}

/// Takes the connection off its queue, and prepares its next request when it is still wanted.
ReceiverState::Outcome ReceiverState::arm(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  if (connection.wanted) {
    const Outcome outcome = submit(slot);
    if (outcome != Outcome::done) return outcome;
    watch_time(slot);
  }
  connection.queue = Queue::none;
  settle(slot);
  return Outcome::done;
}

ReceiverState::Outcome ReceiverState::submit(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const Request next = connection.next_request();
  bool prepared = false;
  if (next == Request::poll) {
    prepared = requests_.poll(Kind::poll, slot, connection.fd);
  } else if (next == Request::from_ring) {
    prepared = requests_.receive_from_ring(slot, connection.fd);
  } else {
    return receive_into_loan(slot);
  }
  if (!prepared) return Outcome::queue_full;
  connection.request = next;
  return Outcome::done;
}

/// Without a buffer, one that has no data yet waits by poll; one that has is parked, behind those that are parked
/// already.
ReceiverState::Outcome ReceiverState::receive_into_loan(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const Request next = connection.next_request();
  const bool overtakes = connection.queue != Queue::parked && !parking_.empty();
  Loan loan = overtakes ? Loan{} : pool_.lend(connection.predictor.predict());
  if (!loan && next == Request::take) return Outcome::no_buffer;
  if (!loan) {
    connection.silent = true;
    return submit(slot);
  }
  if (!requests_.receive_into(slot, connection.fd, loan.bytes(), next == Request::take)) return Outcome::queue_full;
  buffers_->submit(slot, std::move(loan));
  connection.request = next;
  return Outcome::done;
}

bool ReceiverState::watch_event() noexcept {
  watching_ = watching_ || requests_.poll(Kind::event, 0, parking_.event());
  return watching_;
}

/// When the connection's request is to be cancelled, if no data comes before.
os::Time ReceiverState::lapses_at(const Connection& connection) const noexcept {
  os::Time at = os::Time::max();
  if (options_.deadline_ms > 0) at = connection.active + milliseconds(options_.deadline_ms);
  if (options_.idle_ms > 0 && connection.can_fall_silent())
    at = std::min(at, connection.active + milliseconds(options_.idle_ms));
  return at;
}

/// The wheel's entry is left where it is while data comes: when it comes up, it is seen how long that was ago.
void ReceiverState::watch_time(std::uint32_t slot) noexcept {
  if (!times()) return;
  const os::Time at = lapses_at(connections_[slot]);
  if (at != os::Time::max()) wheel_.set_by_then(slot, at);
}

void ReceiverState::check_time(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  if (connection.request == Request::none || connection.cancelling) return;
  if (now_ < lapses_at(connection)) return watch_time(slot);
  const bool late = options_.deadline_ms > 0 && now_ >= connection.active + milliseconds(options_.deadline_ms);
  connection.lapse = late ? Lapse::deadline : Lapse::idle;
  cancel(slot);
}

}  // namespace weir::detail
