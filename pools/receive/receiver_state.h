#pragma once

#include <weir/buffer_ring.h>
#include <weir/receiver.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "core/depot.h"
#include "ring/ring_slots.h"
#include "slab/pool_state.h"

namespace weir::detail {

/// The receiver's connections and what each waits for. A connection's slot is used again only when the kernel has no
/// request of it, so that a late completion always finds its own connection.
class ReceiverState {
 public:
  ReceiverState(PoolState& pool, io_uring& ring, std::uint16_t group);
  ~ReceiverState();
  ReceiverState(const ReceiverState&) = delete;
  ReceiverState& operator=(const ReceiverState&) = delete;

  void start(Inflow& inflow, int fd);
  void want(Inflow& inflow, bool wanted) noexcept;
  void stop(Inflow& inflow) noexcept;
  void stop_all() noexcept;

  bool owns(const io_uring_cqe& cqe) const noexcept;
  Inflow* accept(const io_uring_cqe& cqe, Received& received) noexcept;
  bool turn() noexcept;
  bool quiet() const noexcept { return requests_ == 0; }
  std::size_t parked() const noexcept { return parked_.size() + losers_.size(); }

 private:
  enum class Request : std::uint8_t { receive, cancel, poll_event };

  /// Where a connection is while no receive of it is with the kernel.
  enum class Queue : std::uint8_t { none, to_arm, parked };

  struct Connection {
    Inflow* inflow = nullptr;  ///< nullptr: stopped, nothing is delivered any more
    int fd = -1;
    bool used = false;        ///< false: the slot is in the free list
    bool wanted = false;      ///< the user wants data
    bool armed = false;       ///< a multishot receive is with the kernel
    bool cancelling = false;  ///< and its cancel is queued or with the kernel
    std::uint64_t woken = 0;  ///< the round in which it was armed for data that is known to be there
    Queue queue = Queue::none;
  };

  std::uint64_t user_data(Request request, std::uint32_t slot) const noexcept;
  void detach(Inflow& inflow) noexcept;
  void settle(std::uint32_t slot) noexcept;
  void park(std::uint32_t slot) noexcept;
  Inflow* accept_receive(std::uint32_t slot, const io_uring_cqe& cqe, Received& received) noexcept;
  Inflow* deliver(const Connection& connection, int result, Received& received) noexcept;

  // Each prepares what is due, and is false when the submission queue was too short for all of it.
  bool cancel_queued() noexcept;
  bool arm_queued() noexcept;
  bool wake_parked(std::uint32_t stock) noexcept;
  void start_round() noexcept;
  bool watch_event() noexcept;
  bool arm(std::uint32_t slot) noexcept;
  io_uring_sqe* take_sqe() noexcept;

  PoolState& pool_;
  io_uring& ring_;
  std::unique_ptr<RingSlots> slots_;
  RecordHold<ReceiverRecord> record_;
  Waiter waiter_;
  bool watching_ = false;  ///< a poll of the waiter's event is with the kernel
  bool stopping_ = false;
  std::size_t requests_ = 0;  ///< with the kernel
  std::vector<Connection> connections_;
  std::vector<std::uint32_t> free_;
  std::deque<std::uint32_t> to_arm_;
  std::deque<std::uint32_t> parked_;
  std::deque<std::uint32_t> losers_;     ///< woken, but others took their buffers: they keep their place
  std::uint64_t round_ = 1;              ///< of waking
  std::uint32_t woken_ = 0;              ///< in this round, and not answered yet
  std::deque<std::uint64_t> to_cancel_;  ///< user_data of the requests
};

}  // namespace weir::detail
