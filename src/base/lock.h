#pragma once

#include <mutex>

namespace weir::base {

/// A mutex for sections of less than a microsecond: a thread that finds it taken looks again for a while before it
/// sleeps, for to be woken costs tens of microseconds on a virtual machine.
class Lock {
 public:
  void lock() {
    for (int tries = 0; tries < kTries; ++tries) {
      if (mutex_.try_lock()) return;
      pause();
    }
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }
  bool try_lock() { return mutex_.try_lock(); }

 private:
  static constexpr int kTries = 200;  // about five microseconds

  static void pause() {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }

  std::mutex mutex_;
};

}  // namespace weir::base
