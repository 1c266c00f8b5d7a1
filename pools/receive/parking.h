#pragma once

#include <cstddef>
#include <vector>

#include "cache/depot.h"
#include "slab/pool_state.h"

namespace weir::detail {

/// The event that ends a loop's sleep: a buffer has come home for those who are parked.
class Parking {
 public:
  /// For buffers of the first `classes` of the pool. Throws Error.
  Parking(PoolState& pool, std::size_t classes);
  ~Parking();
  Parking(const Parking&) = delete;
  Parking& operator=(const Parking&) = delete;

  /// Has the event signalled when there is a buffer again. False when there is one now.
  bool wait() noexcept;
  void remove_waiter() noexcept;

  int event() const noexcept { return event_; }
  void signal_event() noexcept;
  void clear_event() noexcept;

 private:
  PoolState& pool_;
  const int event_;
  std::vector<Waiter> waiters_;  ///< by class
  std::vector<Depot*> depots_;   ///< where they may be waiting: those of the thread's node
};

}  // namespace weir::detail
