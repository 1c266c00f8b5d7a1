#include "receive/receiver_state.h"

#include <poll.h>
#include <weir/error.h>

#include <cerrno>
#include <utility>

#include "base/fatal.h"
#include "os/event.h"
#include "os/process.h"
#include "os/uring.h"

namespace weir::detail {
namespace {

constexpr unsigned kRequestShift = 32;
constexpr unsigned kGroupShift = 40;
constexpr unsigned kOwnerShift = 56;

ReceiverRecord* take_receiver_record() {
  ReceiverRecord* record = take_record(segment().receivers);
  if (record == nullptr) throw Error(EMFILE, "this process has 256 receivers already");
  return record;
}

int make_event() {
  const int fd = os::make_event();
  if (fd < 0) throw Error(-fd, "cannot make an eventfd: raise the limit on open files with `ulimit -n`");
  return fd;
}

std::unique_ptr<RingSlots> make_slots(PoolState& pool, io_uring& ring, std::uint16_t group) {
  if (!os::has_multishot_receive(ring)) {
    throw Error(ENOSYS, "multishot receives need Linux 6.0 or newer");
  }
  return std::make_unique<RingSlots>(pool, ring, group, pool.options().ring_entries, pool.options().receive_bytes);
}

}  // namespace

ReceiverState::ReceiverState(PoolState& pool, io_uring& ring, std::uint16_t group)
    : pool_(pool), ring_(ring), slots_(make_slots(pool, ring, group)), record_(take_receiver_record()) {
  waiter_.event = make_event();
  record_->pool = pool.id();
  record_->thread = os::thread_id();
}

ReceiverState::~ReceiverState() {
  slots_->depot().stop_waiting(waiter_);
  if (quiet()) {
    os::close_event(waiter_.event);
    end_ring(std::move(slots_));
    return;
  }
  pool_.quarantine();
  base::warn(
      "a receiver was destroyed with %zu requests in flight: %u buffers are lost to the pool; call stop_all() and "
      "run the loop until quiet()",
      requests_, slots_->stock());
  (void)slots_.release();  // the kernel may still write there
}

std::uint64_t ReceiverState::user_data(Request request, std::uint32_t slot) const noexcept {
  return Receiver::kOwner << kOwnerShift | std::uint64_t{slots_->group()} << kGroupShift |
         static_cast<std::uint64_t>(request) << kRequestShift | slot;
}

bool ReceiverState::owns(const io_uring_cqe& cqe) const noexcept {
  return cqe.user_data >> kGroupShift == user_data(Request::receive, 0) >> kGroupShift;
}

void ReceiverState::start(Inflow& inflow, int fd) {
  if (inflow.receiver_ != nullptr) base::fatal("an inflow was started twice: stop it first");
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(connections_.size()));
    connections_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  connections_[slot] = {.inflow = &inflow, .fd = fd, .used = true, .wanted = true};
  inflow.receiver_ = this;
  inflow.slot_ = slot;
  add_alone(record_->connections, 1);
  settle(slot);
}

void ReceiverState::want(Inflow& inflow, bool wanted) noexcept {
  if (inflow.receiver_ == nullptr) return;
  connections_[inflow.slot_].wanted = wanted;
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
  if (watching_) to_cancel_.push_back(user_data(Request::poll_event, 0));
}

/// Brings what the connection has in line with what is wanted of it.
void ReceiverState::settle(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  if (connection.wanted && !connection.armed && connection.queue == Queue::none) {
    connection.queue = Queue::to_arm;
    to_arm_.push_back(slot);
  } else if (!connection.wanted && connection.armed && !connection.cancelling) {
    connection.cancelling = true;
    to_cancel_.push_back(user_data(Request::receive, slot));
  } else if (connection.used && connection.inflow == nullptr && !connection.armed && connection.queue == Queue::none) {
    connection.used = false;
    free_.push_back(slot);
  }
}

void ReceiverState::park(std::uint32_t slot) noexcept {
  connections_[slot].queue = Queue::parked;
  (connections_[slot].woken == round_ ? losers_ : parked_).push_back(slot);
  record_->parked.store(parked(), std::memory_order_relaxed);
}

Inflow* ReceiverState::accept(const io_uring_cqe& cqe, Received& received) noexcept {
  const auto request = static_cast<Request>(cqe.user_data >> kRequestShift & 0xff);
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) --requests_;
  if (request == Request::receive) return accept_receive(static_cast<std::uint32_t>(cqe.user_data), cqe, received);
  if (request == Request::poll_event) {
    watching_ = false;
    os::clear_event(waiter_.event);
  }
  return nullptr;
}

Inflow* ReceiverState::accept_receive(std::uint32_t slot, const io_uring_cqe& cqe, Received& received) noexcept {
  Connection& connection = connections_[slot];
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) connection.armed = connection.cancelling = false;
  Loan claimed;
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) claimed = slots_->claim(cqe);
  if (cqe.res > 0 && connection.inflow != nullptr) received.data = std::move(claimed);
  if (cqe.res == -ENOBUFS) {
    add_alone(record_->enobufs, 1);
    if (connection.wanted) park(slot);
  }
  Inflow* const inflow = deliver(connection, cqe.res, received);
  if (std::exchange(connection.woken, 0) == round_) --woken_;
  settle(slot);
  return inflow;
}

/// The inflow whose handler is due, with `received` filled in; nullptr when nothing is to be told, or to nobody.
Inflow* ReceiverState::deliver(const Connection& connection, int result, Received& received) noexcept {
  Inflow* const inflow = connection.inflow;
  const bool armed_again = result == -ENOBUFS || result == -ECANCELED || result == -EINTR;
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
  bool all = cancel_queued();
  if (stopping_) return !all;
  const std::uint32_t stock = slots_->replenish();
  all = arm_queued() && all;
  start_round();
  all = wake_parked(stock) && all;
  if (parked_.empty()) return !all;
  if (stock == 0 && slots_->wait(waiter_)) return !(watch_event() && all);
  // There is stock, or just now a buffer came home. Where no completion will end the wait, the rest is due at once.
  return !all || io_uring_cq_ready(&ring_) == 0;
}

/// Those woken have had their chance when all was submitted and all answers were seen: who is silent still needs no
/// buffer now, and is not waited for.
void ReceiverState::start_round() noexcept {
  parked_.insert(parked_.begin(), losers_.begin(), losers_.end());
  losers_.clear();
  if (io_uring_sq_ready(&ring_) > 0 || io_uring_cq_ready(&ring_) > 0) return;
  ++round_;
  woken_ = 0;
}

bool ReceiverState::cancel_queued() noexcept {
  for (; !to_cancel_.empty(); to_cancel_.pop_front()) {
    io_uring_sqe* sqe = take_sqe();
    if (sqe == nullptr) return false;
    io_uring_prep_cancel64(sqe, to_cancel_.front(), 0);
    io_uring_sqe_set_data64(sqe, user_data(Request::cancel, 0));
    add_alone(record_->cancels, 1);
  }
  return true;
}

bool ReceiverState::arm_queued() noexcept {
  for (; !to_arm_.empty(); to_arm_.pop_front()) {
    if (!arm(to_arm_.front())) return false;
  }
  return true;
}

/// Arms as many parked receives as there are buffers: more would only come back with -ENOBUFS.
bool ReceiverState::wake_parked(std::uint32_t stock) noexcept {
  bool all = true;
  while (all && !parked_.empty()) {
    Connection& connection = connections_[parked_.front()];
    if (connection.wanted && woken_ >= stock) break;
    all = arm(parked_.front());
    if (!all) break;
    if (connection.wanted) {
      connection.woken = round_;
      ++woken_;
      add_alone(record_->wakes, 1);
    }
    parked_.pop_front();
  }
  record_->parked.store(parked(), std::memory_order_relaxed);
  return all;
}

/// Takes the connection off its queue, and arms its receive when it is still wanted.
bool ReceiverState::arm(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  if (connection.wanted) {
    io_uring_sqe* sqe = take_sqe();
    if (sqe == nullptr) return false;
    io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = slots_->group();
    io_uring_sqe_set_data64(sqe, user_data(Request::receive, slot));
    connection.armed = true;
  }
  connection.queue = Queue::none;
  settle(slot);
  return true;
}

bool ReceiverState::watch_event() noexcept {
  if (watching_) return true;
  io_uring_sqe* sqe = take_sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_poll_add(sqe, waiter_.event, POLLIN);
  io_uring_sqe_set_data64(sqe, user_data(Request::poll_event, 0));
  watching_ = true;
  return true;
}

/// A submission entry, counted as with the kernel until its last completion; nullptr when the queue is full.
io_uring_sqe* ReceiverState::take_sqe() noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe != nullptr) ++requests_;
  return sqe;
}

}  // namespace weir::detail
