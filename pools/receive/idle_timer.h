#pragma once

#include <weir/options.h>

#include <cstdint>
#include <span>

#include "os/clock.h"
#include "receive/connection.h"
#include "receive/timing_wheel.h"

namespace weir::detail {

/// What time it is, and which connections have been without data for too long.
class IdleTimer {
 public:
  explicit IdleTimer(const Options& options);

  /// The time, read once a batch: until it is called old.
  os::Time now() noexcept;
  void call_old() noexcept { is_old_ = true; }
  /// Those that were active in the batch were so until now at most, and not before a handler that took its time.
  void end_batch(std::span<Connection> connections) noexcept;

  /// Room for so many connections. Throws std::bad_alloc.
  void make_room(std::size_t connections) { wheel_.make_room(connections); }
  /// The connection waits from now on: see to it in time. The wheel's entry is left where it is while data comes: when
  /// it comes up, it is seen how long that was ago.
  void start(std::uint32_t slot, const Connection& connection);
  /// Its request is cancelled from now on: if it comes up while that has not ended, it is stuck.
  void start_cancel(std::uint32_t slot);
  void forget(std::uint32_t slot) noexcept { wheel_.remove(slot); }
  /// Calls `visit(slot)` for each that may have to be seen to: check() tells, and start() puts it off.
  template <typename Visit>
  void expire(Visit visit) {
    if (in_use_) wheel_.expire(now(), visit);
  }
  /// Why its request must be cancelled now.
  Lapse check(const Connection& connection) noexcept;
  os::Time next() const noexcept { return wheel_.next(); }

 private:
  os::Time late_at(const Connection& connection) const noexcept;
  os::Time lapses_at(const Connection& connection) const noexcept;

  const Options& options_;
  const os::Time::duration tick_;
  os::Time now_;
  bool is_old_ = true;
  bool in_use_ = false;  ///< the wheel
  TimingWheel wheel_;
};

}  // namespace weir::detail
