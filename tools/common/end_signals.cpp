#include "end_signals.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <weir/error.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>

namespace weir::common {
namespace {

constexpr int kKilledBySignal = 128;
constexpr std::int64_t kSameWish = 1'000'000'000;  // nanoseconds

std::atomic<int> woken_event{-1};
std::atomic<int> first_signal{0};
std::atomic<std::int64_t> first_came{0};
static_assert(std::atomic<std::int64_t>::is_always_lock_free, "a signal handler uses it");

std::int64_t nanoseconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec + 1;  // never 0
}

/// A handler, for all other ways to wait for a signal are system calls that a sandbox may refuse.
void on_signal(int signal) {
  const int error = errno;
  const std::int64_t now = nanoseconds_now();
  std::int64_t first = 0;
  if (first_came.compare_exchange_strong(first, now)) {
    first_signal = signal;
    (void)eventfd_write(woken_event, 1);
  } else if (now - first > kSameWish) {
    _exit(kKilledBySignal + signal);
  }
  errno = error;
}

sigset_t the_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

void handle(int signal) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  if (sigaction(signal, &action, nullptr) != 0) {
    throw Error(errno, "cannot take SIGINT and SIGTERM: a sandbox (seccomp) forbids signal handlers");
  }
}

}  // namespace

EndSignals::EndSignals() : event_(eventfd(0, EFD_CLOEXEC)) {
  if (event_ < 0) throw Error(errno, "cannot make an event to wait for signals: raise `ulimit -n`");
  woken_event = event_;
  first_signal = 0;
  first_came = 0;
  const sigset_t set = the_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  for (const int signal : {SIGINT, SIGTERM}) handle(signal);
}

/// The handler stays: a second signal may come while the program ends.
EndSignals::~EndSignals() {
  woken_event = -1;
  close(event_);
}

void EndSignals::take() const {
  const sigset_t set = the_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

int EndSignals::came() const { return first_signal; }

int EndSignals::wait() const {
  take();
  eventfd_t count = 0;
  while (eventfd_read(event_, &count) != 0) {
    if (errno != EINTR) throw Error(errno, "cannot wait for signals: a sandbox (seccomp) forbids to read an eventfd");
  }
  return came();
}

void EndSignals::wake() const { (void)eventfd_write(event_, 1); }

}  // namespace weir::common
