#include "memory/alarm.h"

namespace weir::detail {

void Alarm::raise(unsigned cause) noexcept {
  if ((raised_.load(std::memory_order_relaxed) & cause) == cause) return;
  {
    const std::lock_guard lock(mutex_);
    // Released, for it may be heard before the lock is free: who hears of it sees what was written before, such as
    // which depot was exhausted. A cause that is raised already adds nothing that has to be seen.
    raised_.fetch_or(cause, std::memory_order_release);
  }
  changed_.notify_one();
}

void Alarm::wait(unsigned causes, Time until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] { return (raised_.load(std::memory_order_relaxed) & causes) != 0; });
}

unsigned Alarm::hear(unsigned causes) noexcept {
  return raised_.fetch_and(~causes, std::memory_order_acquire) & causes;
}

}  // namespace weir::detail
