#include "receive/receiver_state.h"

#include <weir/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fatal.h"
#include "os/process.h"
#include "os/socket.h"
#include "receive/epoll_submitter.h"
#include "receive/uring_submitter.h"
#include "stats/kept_records.h"

namespace weir::detail {
namespace {

using Kind = Submitter::Kind;
using Ring = StrategyFacts::Ring;

ReceiverRecord* take_record_for(const PoolState& pool, Strategy strategy) {
  ReceiverRecord* record = take_receiver_record({.pool = pool.id(),
                                                 .thread = os::thread_id(),
                                                 .strategy = static_cast<std::uint32_t>(strategy),
                                                 .asked = static_cast<std::uint32_t>(pool.options().recv)});
  if (record == nullptr) throw Error(EMFILE, "this process has 256 receivers already");
  return record;
}

/// The classes up to the one that holds four times receive_bytes, or to the largest.
std::vector<std::uint32_t> receive_sizes(const PoolState& pool) {
  const std::uint64_t most = std::uint64_t{4} * pool.options().receive_bytes;
  const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, pool.options().classes.back()));
  const std::size_t largest = receive_class(pool, std::max(bytes, pool.options().receive_bytes));
  std::vector<std::uint32_t> sizes;
  for (std::size_t i = 0; i <= largest; ++i) sizes.push_back(pool.classes()[i].bytes);
  return sizes;
}

/// A request means the file that its descriptor leads to when it is taken. What is submitted is taken before the user
/// can close the file, but by a thread of the kernel's.
io_uring& checked(io_uring& ring) {
  if ((ring.flags & IORING_SETUP_SQPOLL) == 0) return ring;
  throw Error(EINVAL,
              "a receiver takes no io_uring with IORING_SETUP_SQPOLL: its thread may take a request when the file has "
              "been closed, and receive from another of the same number; set it up without that flag");
}

std::string why_no_multishot(os::ReceiveFeatures features) {
  if (features.error == -EPERM || features.error == -EACCES) {
    return "io_uring_register is forbidden here, which tells of multishot receives and makes buffer rings: allow it in "
           "the seccomp profile";
  }
  if (features.error != 0) {
    return std::string("the kernel did not tell whether it has multishot receives: ") + std::strerror(-features.error);
  }
  return "multishot receives into buffer rings need Linux 6.0 or newer";
}

Strategy default_strategy(const Options& options, const Submitter& requests, os::ReceiveFeatures features) {
  if (options.recv != Strategy::automatic) return options.recv;
  if (requests.cancels_at_once()) return Strategy::epoll;
  return features.multishot ? Strategy::ring_adaptive : Strategy::poll_adaptive;
}

}  // namespace

ReceiverState::ReceiverState(Pool& pool, std::unique_ptr<Submitter> requests, Groups groups,
                             os::ReceiveFeatures features)
    : pool_(pool),
      options_(pool.options()),
      features_(features),
      strategy_(default_strategy(options_, *requests, features)),
      sizes_(receive_sizes(pool.state())),
      single_costs_(sizes_, kSinglePrices),
      ring_costs_(sizes_, kMultishotPrices),
      submitter_(std::move(requests)),
      groups_(std::move(groups)),
      parking_(pool.state(), sizes_.size()),
      record_(take_record_for(pool.state(), strategy_)),
      buffers_(std::make_unique<RequestBuffers>(pool.state())),
      idle_(options_) {
  const StrategyFacts& facts = resolve(strategy_);
  if (facts.ring != Ring::none)
    groups_.need(facts, facts.sized ? Predictor(ring_costs_).predict() : options_.receive_bytes);
  if (options_.recv == Strategy::automatic && strategy_ == Strategy::poll_adaptive)
    pool.state().alerts().tell(AlertKind::degraded, [&] {
      return "receivers take turns of polls and receives: " + why_no_multishot(features_);
    });
}

ReceiverState::ReceiverState(Pool& pool, io_uring& ring, std::uint16_t group)
    : ReceiverState(pool, std::make_unique<UringSubmitter>(checked(ring), group), Groups(pool.state(), &ring, group),
                    os::probe_receives(ring)) {}

ReceiverState::ReceiverState(Pool& pool, Epoll epoll, std::uint16_t group)
    : ReceiverState(pool, std::make_unique<EpollSubmitter>(epoll.fd, group), Groups(pool.state(), nullptr, group), {}) {
  const int error = submitter_->poll({.kind = Kind::event}, parking_.event());
  if (error != 0) {
    throw Error(-error, "the epoll takes no eventfd: is it an epoll, and is fs.epoll.max_user_watches large enough?");
  }
  event_armed_ = true;
}

ReceiverState::~ReceiverState() {
  if (submitter_->cancels_at_once()) {
    for (std::uint32_t slot = 0; slot < connections_.size(); ++slot) end_request(slot);
    submitter_->cancel({.kind = Kind::event}, parking_.event());
  }
  if (!has_inflight()) return;
  pool_.state().quarantine();
  base::warn(
      "a receiver was destroyed with %zu requests in flight: %zu buffers are lost to the pool; call stop_all() and "
      "run the loop while has_inflight()",
      submitter_->in_flight(), buffers_->count() + groups_.filled());
  groups_.abandon();  // the kernel may still write there
  (void)buffers_.release();
}

/// Throws Error when it is not to be had here.
const StrategyFacts& ReceiverState::resolve(Strategy strategy) const {
  const StrategyFacts& facts = facts_of(strategy == Strategy::automatic ? strategy_ : strategy);
  const bool on_epoll = submitter_->cancels_at_once();
  if (on_epoll != (facts.strategy == Strategy::epoll)) {
    throw Error(EINVAL, on_epoll ? std::string("the strategy ") + facts.name +
                                       " needs an io_uring, and this receiver has an epoll: set WEIR_RECV=epoll or auto"
                                 : "the strategy epoll needs a receiver on an epoll: set WEIR_RECV=auto");
  }
  if (facts.ring != Ring::none && !features_.multishot) {
    throw Error(features_.error != 0 ? -features_.error : ENOSYS,
                why_no_multishot(features_) + "; or set WEIR_RECV=auto, or choose another strategy");
  }
  if (facts.ring == Ring::bundle && !features_.bundles) {
    throw Error(ENOSYS, "bundles need Linux 6.10 or newer, and are broken in 6.13 to 6.15: set WEIR_RECV=ring");
  }
  return facts;
}

/// A slot that nobody uses. Throws when there is no room for one more; nothing throws afterwards.
std::uint32_t ReceiverState::take_slot() {
  if (free_.empty()) {
    const std::size_t count = connections_.size();
    if (count == Submitter::kMostConnections) throw Error(EMFILE, "a receiver has 16777216 connections already");
    if (free_.capacity() == count) free_.reserve(2 * count + 1);  // reserve() alone takes no more than it is asked for
    submitter_->make_room(count + 1);
    idle_.make_room(count + 1);
    buffers_->make_room(count + 1);
    connections_.emplace_back();
    free_.push_back(static_cast<std::uint32_t>(count));
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void ReceiverState::start(Inflow& inflow, int fd, Strategy strategy) {
  if (inflow.receiver_ != nullptr) base::fatal("an inflow was started twice: stop it first");
  if (stopping_) throw Error(ESHUTDOWN, "the receiver was stopped by stop_all(): start new inflows on another");
  const StrategyFacts& facts = resolve(strategy);
  if (facts.ring == Ring::slice && os::is_datagram(fd)) {
    throw Error(EPROTOTYPE, "ring_incremental would cut datagrams short: choose another strategy for this socket");
  }
  const Predictor predictor(facts.sized ? ring_costs_ : single_costs_);
  std::uint8_t group = 0;
  if (facts.ring != Ring::none) group = groups_.need(facts, facts.sized ? predictor.predict() : options_.receive_bytes);
  const std::uint32_t slot = take_slot();
  const std::uint16_t generation = connections_[slot].generation;
  connections_[slot] = {.inflow = &inflow,
                        .fd = fd,
                        .used = true,
                        .wanted = true,
                        .silent = facts.polls_first,
                        .own_group = group,
                        .generation = generation,
                        .strategy = &facts,
                        .predictor = predictor,
                        .active = idle_.now(),
                        .pause = Connection::first_pause(facts)};
  connections_[slot].renew();
  inflow.receiver_ = this;
  inflow.slot_ = slot;
  add_alone(record_->connections, 1);
  settle(slot);
}

void ReceiverState::want(Inflow& inflow, bool wanted) noexcept {
  if (inflow.receiver_ == nullptr) return;
  Connection& connection = connections_[inflow.slot_];
  if (wanted && !connection.wanted) connection.active = idle_.now();
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
  connection.end = Connection::kNoEnd;
  kept_.clear(connection.kept);
  if (connection.queue == Queue::parked) {  // for who is before it may wait long
    parked_.remove(inflow.slot_);
    note_parked();
  }
  if (submitter_->cancels_at_once()) end_request(inflow.slot_);
  subtract_alone(record_->connections, 1);
}

void ReceiverState::stop_all() noexcept {
  stopping_ = true;
  for (const Connection& connection : connections_) {
    if (connection.inflow != nullptr) stop(*connection.inflow);
  }
  parking_.remove_waiter();  // a buffer that comes home now is for others
  if (submitter_->cancels_at_once()) submitter_->cancel({.kind = Kind::event}, parking_.event());
}

/// Brings what the connection has in line with what is wanted of it.
void ReceiverState::settle(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  const bool armed = connection.request != Request::none;
  if (armed && (!connection.wanted || connection.end != Connection::kNoEnd)) cancel(slot);
  if (connection.queue != Queue::none) return;
  if (connection.wanted && connection.has_undelivered()) {
    to_deliver_.push(slot);
    parking_.signal_event();
  } else if (connection.request != Request::none) {
    return;
  } else if (connection.wanted) {
    to_arm_.push(slot);
  } else if (connection.used && connection.inflow == nullptr && (rest_.bytes == 0 || rest_.slot != slot)) {
    connection.used = false;
    idle_.forget(slot);
    free_.push_back(slot);
  }
}

/// REQUIRES: the connection has a request.
void ReceiverState::cancel(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  if (submitter_->cancels_at_once()) return end_request(slot);
  if (connection.cancelling || connection.queue != Queue::none) return;  // settled again when it leaves the queue
  connection.cancelling = true;
  idle_.start_cancel(slot);
  to_cancel_.push(slot);
}

/// Has the epoll forget the connection, whose request then has ended.
void ReceiverState::end_request(std::uint32_t slot) noexcept {
  Connection& connection = connections_[slot];
  submitter_->cancel(id_of(Kind::poll, slot), connection.fd);
  if (connection.request == Request::recv_now) const Loan unused = buffers_->finish(slot);
  const bool late = is_late(connection);
  connection.cancelling = true;
  end_poll(connection, -ECANCELED);
  connection.lapse = Lapse::none;
  if (late && connection.end == Connection::kNoEnd) connection.keep_end(-ETIMEDOUT);
}

RequestId ReceiverState::id_of(Kind kind, std::uint32_t slot) const noexcept {
  return {.kind = kind, .generation = connections_[slot].generation, .connection = slot};
}

}  // namespace weir::detail
