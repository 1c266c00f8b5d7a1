#pragma once

#include <sys/time.h>

#include <csignal>

namespace weir::testing {

/// Signals that interrupt the system calls of a process with one thread, until its end.
class SignalStorm {
 public:
  explicit SignalStorm(suseconds_t microseconds) {
    count_ = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { count_ = count_ + 1; };  // without SA_RESTART
    sigaction(SIGALRM, &action, &before_);
    set(microseconds);
  }
  ~SignalStorm() {
    set(0);
    sigaction(SIGALRM, &before_, nullptr);
  }
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;

  int count() const { return count_; }

 private:
  static void set(suseconds_t microseconds) {
    const itimerval timer{.it_interval = {0, microseconds}, .it_value = {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, nullptr);
  }

  static inline volatile std::sig_atomic_t count_ = 0;
  struct sigaction before_ {};
};

}  // namespace weir::testing
