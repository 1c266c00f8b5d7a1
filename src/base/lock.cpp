#include "base/lock.h"

namespace weir::base {
namespace {

constexpr int kLooks = 200;  // about five microseconds

void pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

}  // namespace

void Lock::lock_slowly() noexcept {
  for (int look = 0; look < kLooks; ++look) {
    pause();
    if (state_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
  }
  while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree)
    state_.wait(kAwaited, std::memory_order_relaxed);
}

}  // namespace weir::base
