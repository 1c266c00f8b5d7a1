#pragma once

#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "memory/alarm.h"

namespace weir::detail {

class PoolState;

/// A pool's thread: it maps memory where it is short, unmaps what decayed, and calls the pool's owner back. It sleeps
/// until the pool's alarm, or until something is due.
class Helper {
 public:
  /// Throws Error when there is no thread to be had. REQUIRES: the pool outlives it.
  explicit Helper(PoolState& pool);
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
  void grow(std::size_t node, Time now);
  void grow_while_short(std::size_t node);
  void say(std::string& said, const char* cause);
  void tell_exhausted(bool is, Time now);
  void tell_low(Time now);
  void decay(Time now);

  /// Of a node: what one cannot have must not keep the others from growing.
  struct Growth {
    Time again{};  ///< until then, its shortage is not looked at
    std::chrono::milliseconds back_off{};
    std::string said;  ///< why it does not grow, when that was said last
  };

  /// A state whose begin somebody is told, and then not again until it was over for a while.
  struct Notice {
    bool is = false;
    Time calm{};  ///< until then it goes on, as far as anybody is told

    /// Notes whether it is so now. True when that is to be told.
    bool begins(bool now_is, Time now);
  };

  PoolState& pool_;
  pthread_t thread_{};

  std::vector<Growth> growth_;  ///< by the node's index
  Notice low_;
  Notice exhausted_;
  Time decay_again_{};
};

}  // namespace weir::detail
