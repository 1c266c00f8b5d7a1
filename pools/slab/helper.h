#pragma once

#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "core/alarm.h"

namespace weir::detail {

class PoolState;

/// A pool's thread: it maps memory where it is short, unmaps what decayed, and calls the pool's owner back. It sleeps
/// until the pool's alarm, or until something is due.
class Helper {
 public:
  /// Throws Error when there is no thread to be had. REQUIRES: the pool outlives it.
  Helper(PoolState& pool, Alarm& alarm);
  /// Waits for what it does just now.
  ~Helper();
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

 private:
  using Time = Alarm::Time;

  void run();
  unsigned causes_that_wake(Time now) const;
  Time next_due(Time now) const;
  void look(unsigned heard, Time now);
  void grow(Time now);
  void grow_node(std::size_t node);
  void say(const std::string& cause);
  void tell(unsigned heard, Time now);
  void decay(Time now);

  PoolState& pool_;
  Alarm& alarm_;
  pthread_t thread_{};

  Time grow_again_{};  ///< until then, shortage is not looked at
  std::chrono::milliseconds back_off_{};
  std::string cause_said_;  ///< of the failure to grow that was said last
  bool low_ = false;
  bool exhausted_ = false;
  Time calm_{};  ///< until then, nobody is told of another exhaustion
  Time decay_again_{};
};

}  // namespace weir::detail
