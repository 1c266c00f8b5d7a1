#pragma once

#include <pthread.h>

namespace weir::base {

/// As long as it lives, a pthread_cancel of the calling thread stays pending. The library's functions are noexcept or
/// leave work half done where they end in the middle: a thread is cancelled between them, never within.
class NoCancel {
 public:
  NoCancel() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancel() { pthread_setcancelstate(before_, nullptr); }
  NoCancel(const NoCancel&) = delete;
  NoCancel& operator=(const NoCancel&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace weir::base
