#pragma once

#include <weir/receiver.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "os/uring.h"
#include "receive/connection.h"
#include "receive/groups.h"
#include "receive/idle_timer.h"
#include "receive/kept_loans.h"
#include "receive/parking.h"
#include "receive/request_buffers.h"
#include "receive/slot_queue.h"
#include "receive/submitter.h"
#include "slab/pool_state.h"

namespace weir::detail {

/// The receiver's connections and what each waits for. A connection's slot is used again only when the kernel has no
/// request of it, so that a late completion always finds its own connection.
class ReceiverState {
 public:
  using Delivery = Receiver::Delivery;

  ReceiverState(Pool& pool, io_uring& ring, std::uint16_t group);
  ReceiverState(Pool& pool, Epoll epoll, std::uint16_t group);
  ~ReceiverState();
  ReceiverState(const ReceiverState&) = delete;
  ReceiverState& operator=(const ReceiverState&) = delete;

  void start(Inflow& inflow, int fd, Strategy strategy);
  void want(Inflow& inflow, bool wanted) noexcept;
  void stop(Inflow& inflow) noexcept;
  void stop_all() noexcept;

  bool owns(std::uint64_t user_data) const noexcept { return submitter_->owns(user_data); }
  Delivery accept(const io_uring_cqe& cqe) noexcept;
  Delivery accept(const epoll_event& event) noexcept;
  Delivery next() noexcept;
  bool turn() noexcept;
  os::Time next_deadline() const noexcept { return std::min(idle_.next(), groups_.next_idle()); }
  bool has_inflight() const noexcept { return submitter_->in_flight() > 0; }
  std::size_t parked() const noexcept { return parked_.count(); }

 private:
  enum class Outcome : std::uint8_t { done, no_buffer, queue_full };

  /// What a bundle's completion carries beyond its first buffer, of which next() hands out the buffers.
  struct Rest {
    std::uint32_t slot = 0;
    std::uint16_t bid = 0;  ///< of the buffer before
    std::uint32_t bytes = 0;
  };

  struct Received {
    int result;
    std::uint32_t capacity;  ///< of the buffer
    bool last;               ///< the request has ended
  };

  ReceiverState(Pool& pool, std::unique_ptr<Submitter> requests, Groups groups, os::ReceiveFeatures features);

  // receiver_state.cpp: what a connection is, from its start to its end
  const StrategyFacts& resolve(Strategy strategy) const;
  std::uint32_t take_slot();
  void detach(Inflow& inflow) noexcept;
  void settle(std::uint32_t slot) noexcept;
  void cancel(std::uint32_t slot) noexcept;
  void end_request(std::uint32_t slot) noexcept;
  RequestId id_of(Submitter::Kind kind, std::uint32_t slot) const noexcept;

  // completions.cpp: what the kernel says, and who is told
  void check_id(RequestId id) const noexcept;
  Delivery accept_poll(std::uint32_t slot, int result) noexcept;
  void end_poll(Connection& connection, int result) noexcept;
  Delivery accept_receive(std::uint32_t slot, const io_uring_cqe& cqe) noexcept;
  Delivery accept_result(std::uint32_t slot, const Received& received, Loan data) noexcept;
  void look_for_end(std::uint32_t slot) noexcept;
  Delivery accept_event() noexcept;
  std::uint32_t capacity_of(std::uint32_t slot) noexcept;
  Loan data_of(std::uint32_t slot, const io_uring_cqe& cqe) noexcept;
  Delivery next_kept() noexcept;
  Delivery receive_now(std::uint32_t slot) noexcept;
  Delivery park_or_end(std::uint32_t slot) noexcept;
  Delivery deliver(std::uint32_t slot, Loan data) noexcept;
  Delivery deliver_end(std::uint32_t slot, int result) noexcept;
  Delivery tell_end(std::uint32_t slot, int result) noexcept;
  bool takes_now(const Connection& connection) const noexcept;
  static bool is_late(const Connection& connection) noexcept;
  bool is_misplaced(const Connection& connection) const noexcept;

  // turn.cpp: what is asked of the kernel. Each is false when the submission queue was too short for all of it.
  bool cancel_queued() noexcept;
  bool arm_queued() noexcept;
  bool wake_parked() noexcept;
  bool wait_for_buffer() noexcept;
  void check_time(std::uint32_t slot) noexcept;
  Outcome wake(std::uint32_t slot) noexcept;
  Outcome borrow(std::uint32_t slot) noexcept;
  Outcome submit(std::uint32_t slot) noexcept;
  RingSlots& choose_ring(Connection& connection) noexcept;
  Outcome receive_from_ring(std::uint32_t slot) noexcept;
  Outcome retry_from_ring(std::uint32_t slot) noexcept;
  Outcome receive_into_loan(std::uint32_t slot, Request request) noexcept;
  Outcome note_asked(std::uint32_t slot, Request request, int error) noexcept;
  bool may_lend(std::uint32_t bytes) const noexcept;
  Loan lend(std::uint32_t bytes) noexcept;
  void promise(Connection& connection) noexcept;
  int park(std::uint32_t slot) noexcept;
  void note_parked() noexcept;
  void tell_stuck(const Connection& connection) noexcept;

  Pool& pool_;
  const Options& options_;
  const os::ReceiveFeatures features_;
  const Strategy strategy_;           ///< of connections that name none: never automatic
  std::vector<std::uint32_t> sizes_;  ///< of the buffers for single receives
  const SizeCosts single_costs_;
  const SizeCosts ring_costs_;
  std::unique_ptr<Submitter> submitter_;
  Groups groups_;
  Parking parking_;
  RecordHold<ReceiverRecord> record_;
  std::unique_ptr<RequestBuffers> buffers_;
  IdleTimer idle_;
  KeptLoans kept_;
  Rest rest_;
  bool event_armed_ = false;  ///< a poll of the event is with the kernel
  bool stopping_ = false;
  std::vector<Connection> connections_;
  std::vector<std::uint32_t> free_;
  SlotQueue to_arm_{connections_, Queue::to_arm};
  SlotQueue to_cancel_{connections_, Queue::to_cancel};
  SlotQueue parked_{connections_, Queue::parked};
  SlotQueue to_deliver_{connections_, Queue::to_deliver};
};

}  // namespace weir::detail
