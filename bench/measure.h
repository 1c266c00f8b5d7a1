#pragma once

#include <time.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <string>

namespace bench {

/// The compiler must believe that somebody reads the buffer.
inline void use(const void* data) { asm volatile("" : : "r"(data) : "memory"); }

/// A value that the compiler cannot know.
template <typename Value>
Value opaque(Value value) {
  asm volatile("" : "+r"(value));
  return value;
}

/// A result: one line `NAME VALUE` for the program that compares.
inline void report(const std::string& name, double value) {
  std::printf("%s %.4f\n", name.c_str(), value);
  std::fflush(stdout);
}

/// What one thread does is measured in its own processor time, which leaves out when it was not running; what several
/// do together, in real time.
enum class Clock : clockid_t { thread = CLOCK_THREAD_CPUTIME_ID, real = CLOCK_MONOTONIC };

inline double nanoseconds_now(Clock clock) {
  timespec now{};
  ::clock_gettime(static_cast<clockid_t>(clock), &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename Run>
double nanoseconds_of(Clock clock, Run run) {
  const double began = nanoseconds_now(clock);
  run();
  return nanoseconds_now(clock) - began;
}

/// Reports the median time of one operation, of five measurements of about `milliseconds` each.
/// `run(count)` does at least `count` operations and returns how many.
template <typename Run>
void measure(const std::string& name, double milliseconds, Run run, Clock clock = Clock::thread) {
  constexpr double kNanoseconds = 1e6;
  std::size_t count = 1024;
  double took = nanoseconds_of(clock, [&] { run(count); });
  while (took < milliseconds * kNanoseconds / 4) {
    count *= 2;
    took = nanoseconds_of(clock, [&] { run(count); });
  }
  count = static_cast<std::size_t>(static_cast<double>(count) * milliseconds * kNanoseconds / took) + 1;
  std::array<double, 5> times{};
  for (double& time : times) {
    std::size_t done = 0;
    time = nanoseconds_of(clock, [&] { done = run(count); });
    time /= static_cast<double>(done);
  }
  std::sort(times.begin(), times.end());
  report(name, times[times.size() / 2]);
}

}  // namespace bench
