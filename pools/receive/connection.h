#pragma once

#include <cstdint>

#include "core/strategies.h"
#include "os/clock.h"
#include "receive/predictor.h"

namespace weir {
class Inflow;
}

namespace weir::detail {

/// What a connection may have with the kernel: never more than one of them, and its cancel.
enum class Request : std::uint8_t {
  none,
  poll,       ///< tells that there is data
  take,       ///< receives the data that is known to be there, into a buffer
  wait,       ///< waits for data with a buffer
  from_ring,  ///< a multishot, for which the kernel picks buffers
};

/// Where a connection is while the kernel has no request of it.
enum class Queue : std::uint8_t { none, to_arm, parked };

/// Why a request that was wanted is cancelled.
enum class Lapse : std::uint8_t { none, idle, deadline };

/// One connection: what is wanted of it, what it has with the kernel, and which request is next by its strategy.
struct Connection {
  Inflow* inflow = nullptr;  ///< nullptr: stopped, nothing is delivered any more
  int fd = -1;
  bool used = false;        ///< false: the slot is in the free list
  bool wanted = false;      ///< the user wants data
  bool cancelling = false;  ///< the request's cancel is queued or with the kernel
  bool has_data = false;    ///< a poll said so, or there may be more where the last came from
  bool silent = false;      ///< it waits by poll, whatever its strategy, until there is data
  Request request = Request::none;
  Queue queue = Queue::none;
  Lapse lapse = Lapse::none;
  const StrategyFacts* strategy = nullptr;
  Predictor predictor{};
  std::uint64_t woken = 0;  ///< the round in which its multishot was armed for data that is known to be there
  os::Time active{};        ///< the last data, or the last time that it was started or resumed

  Request next_request() const noexcept;
  /// The request holds a buffer or kernel memory that a poll does not.
  bool can_fall_silent() const noexcept { return request == Request::wait || request == Request::from_ring; }

  /// The result of its request; `ended`: the kernel has it no more.
  void note_poll(int result) noexcept;
  void note_receive(int result, bool ended, os::Time now) noexcept;

 private:
  void note_end(int result) noexcept;
};

}  // namespace weir::detail
