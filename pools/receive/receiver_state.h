#pragma once

#include <weir/receiver.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "receive/connection.h"
#include "receive/parking.h"
#include "receive/request_buffers.h"
#include "receive/requests.h"
#include "receive/timing_wheel.h"
#include "ring/ring_slots.h"
#include "slab/pool_state.h"

namespace weir::detail {

/// The receiver's connections and what each waits for. A connection's slot is used again only when the kernel has no
/// request of it, so that a late completion always finds its own connection.
class ReceiverState {
 public:
  ReceiverState(Pool& pool, io_uring& ring, std::uint16_t group);
  ~ReceiverState();
  ReceiverState(const ReceiverState&) = delete;
  ReceiverState& operator=(const ReceiverState&) = delete;

  void start(Inflow& inflow, int fd, Strategy strategy);
  void want(Inflow& inflow, bool wanted) noexcept;
  void stop(Inflow& inflow) noexcept;
  void stop_all() noexcept;

  bool owns(const io_uring_cqe& cqe) const noexcept { return requests_.owns(cqe); }
  Inflow* accept(const io_uring_cqe& cqe, Received& received) noexcept;
  bool turn() noexcept;
  os::Time next_deadline() const noexcept { return wheel_.next(); }
  bool quiet() const noexcept { return requests_.in_flight() == 0; }
  std::size_t parked() const noexcept { return parking_.count(); }

 private:
  enum class Outcome : std::uint8_t { done, no_buffer, queue_full };

  const StrategyFacts& resolve(Strategy strategy) const noexcept;
  void need_ring();
  os::Time time() noexcept;

  void detach(Inflow& inflow) noexcept;
  void settle(std::uint32_t slot) noexcept;
  void cancel(std::uint32_t slot) noexcept;
  void park(std::uint32_t slot) noexcept;
  Inflow* accept_poll(std::uint32_t slot, const io_uring_cqe& cqe, Received& received) noexcept;
  Inflow* accept_receive(std::uint32_t slot, const io_uring_cqe& cqe, Received& received) noexcept;
  Loan data_of(std::uint32_t slot, const io_uring_cqe& cqe) noexcept;
  Inflow* deliver(Connection& connection, int result, Received& received) noexcept;

  // Each prepares what is due, and is false when the submission queue was too short for all of it.
  bool cancel_queued() noexcept;
  bool arm_queued() noexcept;
  bool wake_parked() noexcept;
  bool watch_event() noexcept;

  bool wait_for_buffer() noexcept;
  Outcome arm(std::uint32_t slot) noexcept;
  Outcome submit(std::uint32_t slot) noexcept;
  Outcome receive_into_loan(std::uint32_t slot) noexcept;

  bool times() const noexcept { return options_.idle_ms > 0 || options_.deadline_ms > 0; }
  os::Time lapses_at(const Connection& connection) const noexcept;
  void watch_time(std::uint32_t slot) noexcept;
  void check_time(std::uint32_t slot) noexcept;

  Pool& pool_;
  const Options& options_;
  const bool can_ring_;
  const Strategy strategy_;           ///< of connections that name none: never automatic
  std::vector<std::uint32_t> sizes_;  ///< of the buffers for single receives
  Requests requests_;
  Parking parking_;
  RecordHold<ReceiverRecord> record_;
  std::unique_ptr<RequestBuffers> buffers_;
  std::unique_ptr<RingSlots, EndRing> slots_;  ///< from the first connection that needs it on
  bool watching_ = false;                      ///< a poll of the event is with the kernel
  bool stopping_ = false;
  bool time_is_old_ = true;
  os::Time now_;
  TimingWheel wheel_;
  std::vector<Connection> connections_;
  std::vector<std::uint32_t> free_;
  std::deque<std::uint32_t> to_arm_;
};

}  // namespace weir::detail
