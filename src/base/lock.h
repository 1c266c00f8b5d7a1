#pragma once

#include <atomic>
#include <cstdint>

#include "base/tsan.h"

namespace weir::base {

/// A mutex for sections of less than a microsecond. A thread that finds it taken looks again for a while before it
/// sleeps, for to be woken takes tens of microseconds on a virtual machine; and it is taken without a call.
class Lock {
 public:
  void lock() noexcept {
    if (!try_lock()) lock_slowly();
    note_acquired(this);
  }
  void unlock() noexcept {
    note_released(this);
    if (state_.exchange(kFree, std::memory_order_release) == kAwaited) state_.notify_one();
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kTaken = 1;
  static constexpr std::uint32_t kAwaited = 2;  ///< taken, and a thread may sleep until it is free

  bool try_lock() noexcept {
    std::uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire, std::memory_order_relaxed);
  }

  void lock_slowly() noexcept;

  std::atomic<std::uint32_t> state_{kFree};
};

}  // namespace weir::base
