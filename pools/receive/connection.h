#pragma once

#include <chrono>
#include <cstdint>

#include "options/strategies.h"
#include "os/clock.h"
#include "receive/kept_loans.h"
#include "receive/predictor.h"

namespace weir {
class Inflow;
}

namespace weir::detail {

/// What a connection may have with the kernel: never more than one of them, and its cancel.
enum class Request : std::uint8_t {
  none,
  poll,             ///< tells that there is data
  recv_now,         ///< receives the data that is known to be there, into a buffer
  recv_spare_ring,  ///< the same into a buffer of a ring, where the pool has none
  recv,             ///< waits for data with a buffer
  from_ring,        ///< a multishot, for which the kernel picks buffers
};

/// Where a connection is listed: never in more than one.
enum class Queue : std::uint8_t { none, to_arm, to_cancel, parked, to_deliver };

/// Why a request that was wanted is cancelled.
enum class Lapse : std::uint8_t { none, idle, deadline };

/// One connection: what is wanted of it, what it has with the kernel, and which request is next by its strategy.
struct Connection {
  using Pause = std::chrono::duration<std::uint32_t, std::micro>;
  static constexpr std::int16_t kNoEnd = 1;

  Inflow* inflow = nullptr;  ///< nullptr: stopped, nothing is delivered any more
  int fd = -1;
  bool used : 1 = false;      ///< false: the slot is in the free list
  bool retried : 1 = false;   ///< its ring was given a buffer for its data, and others were faster
  bool wanted = false;        ///< the user wants data
  bool cancelling = false;    ///< the request's cancel is queued or with the kernel
  bool has_data = false;      ///< a poll said so, or a receive that found no buffer
  bool silent = false;        ///< it waits by poll, whatever its strategy, until there is data
  bool promised = false;      ///< a buffer of the group is for its request
  bool may_hide_end = false;  ///< its request polled first: the kernel may tell of its data and not of an end behind it
  Request request = Request::none;
  Queue queue = Queue::none;
  Lapse lapse = Lapse::none;
  std::uint8_t own_group = 0;    ///< index of the buffer ring for its multishots
  std::uint8_t group = 0;        ///< that of its request
  std::uint32_t armed_for = 0;   ///< the prediction at that time
  std::uint16_t generation = 0;  ///< in its requests' names: a late cancel shall not find the next one
  std::int16_t end = kNoEnd;     ///< the result that ended it, not delivered yet
  std::uint32_t before = 0;      ///< in its queue, unless it is the first
  std::uint32_t next = 0;        ///< in its queue, unless it is the last
  const StrategyFacts* strategy = nullptr;
  Predictor predictor{};
  os::Time active{};       ///< the last data, or the last time that it was started or resumed
  Pause pause{0};          ///< between its receives: a moving average
  KeptLoans::List kept{};  ///< received, not delivered yet

  /// Its `pause` until something is known: what begins quickly is trusted by its fourth receive, where it has a ring.
  static Pause first_pause(const StrategyFacts& strategy) noexcept;
  Request next_request() const noexcept;
  /// Where its strategy has a ring: a multishot receive is right for its data as it came of late.
  bool suits_ring() const noexcept;
  /// The request holds a buffer or kernel memory that a poll does not.
  bool can_fall_silent() const noexcept { return request == Request::recv || request == Request::from_ring; }
  /// The kernel picks its buffers, from the ring of its group.
  bool uses_ring() const noexcept { return request == Request::from_ring || request == Request::recv_spare_ring; }
  bool has_undelivered() const noexcept { return !kept.empty() || end != kNoEnd; }
  /// `result`: 0, or -errno.
  void keep_end(int result) noexcept { end = static_cast<std::int16_t>(result); }

  /// What the kernel may still say of requests so far is of no concern any more.
  void renew() noexcept;
  /// The result of its request; `ended`: the kernel has it no more.
  void note_poll(int result) noexcept;
  /// `capacity`: of the buffer, where there was one.
  void note_receive(int result, std::uint32_t capacity, bool ended, os::Time now) noexcept;
  /// A receive of what a poll has told of, outside of any request.
  void note_taken(int result, std::uint32_t capacity, os::Time now) noexcept;
  /// What said that there is data was wrong, as -ENOBUFS is at times: a receive would find its ring empty again and
  /// again while others are faster, so a poll waits for data.
  void note_nothing() noexcept;

 private:
  bool waits_by_receive() const noexcept;
  void note_data(os::Time now) noexcept;
  void note_end(int result) noexcept;
};
static_assert(sizeof(Connection) <= 96);  // of each, however many are idle

}  // namespace weir::detail
