#pragma once

#include <cstdint>
#include <deque>

#include "core/depot.h"
#include "slab/pool_state.h"

namespace weir::detail {

/// Connections that found no buffer, first-in first-out, and the event that a buffer's way home signals. Multishots of
/// a ring are woken in rounds: no more of them than the ring has buffers, and those that others were faster than keep
/// their place.
class Parking {
 public:
  /// Throws Error.
  Parking();
  ~Parking();
  Parking(const Parking&) = delete;
  Parking& operator=(const Parking&) = delete;

  std::size_t count() const noexcept { return parked_.size() + losers_.size(); }
  bool empty() const noexcept { return parked_.empty(); }  ///< nobody can be woken in this round
  std::uint32_t front() const noexcept { return parked_.front(); }
  void pop() noexcept { parked_.pop_front(); }
  /// `woken`: the round in which it was woken before; 0: never.
  void park(std::uint32_t connection, std::uint64_t woken) {
    (woken == round_ ? losers_ : parked_).push_back(connection);
  }

  /// Puts the losers first again. `settled`: all of the round have had their chance, and another begins.
  void start_round(bool settled);
  std::uint64_t round() const noexcept { return round_; }
  /// Multishots that were woken in this round and have not answered yet.
  std::uint32_t unanswered() const noexcept { return unanswered_; }
  void note_woken() noexcept { ++unanswered_; }
  void note_answer(std::uint64_t woken) noexcept {
    if (woken == round_) --unanswered_;
  }

  /// Has the event signalled when the depot has a buffer again, and no other. False when it has one now.
  bool wait(PoolState& pool, Depot& depot) noexcept;
  void stop_waiting() noexcept;
  int event() const noexcept { return waiter_.event; }
  void clear_event() noexcept;

 private:
  std::deque<std::uint32_t> parked_;
  std::deque<std::uint32_t> losers_;  ///< woken, but others took their buffers
  std::uint64_t round_ = 1;
  std::uint32_t unanswered_ = 0;
  Waiter waiter_;
  Depot* depot_ = nullptr;  ///< where the waiter may be waiting
};

}  // namespace weir::detail
