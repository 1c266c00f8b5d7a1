#include "sim/report.h"

#include <unistd.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#ifdef WEIR_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

namespace weir::sim {
namespace {

constexpr unsigned kPatienceSeconds = 60;

struct Place {
  std::uint64_t seed = 0;
  std::size_t step = 0;
  bool traced = false;
  std::uint64_t digest = 0;
};
Place place;

void tell_seed() {
  char text[160];
  const int length = std::snprintf(text, sizeof text,
                                   "seed %llu, step %zu: the library failed; to see each step: weir-sim --start %llu "
                                   "--seeds 1 --trace\n",
                                   static_cast<unsigned long long>(place.seed), place.step,
                                   static_cast<unsigned long long>(place.seed));
  (void)!write(STDOUT_FILENO, text, static_cast<std::size_t>(length));
}

[[noreturn]] void on_crash(int signal) {
  const char* what = signal == SIGALRM ? "a call did not return for a minute" : strsignal(signal);
  (void)!write(STDOUT_FILENO, what, std::strlen(what));
  (void)!write(STDOUT_FILENO, "\n", 1);
  tell_seed();
  _exit(1);
}

void add_to_digest(const char* text) {
  for (; *text != 0; ++text) place.digest = (place.digest ^ static_cast<unsigned char>(*text)) * 0x100000001b3;
}

}  // namespace

void watch_for_crashes() {
#ifdef WEIR_SANITIZED
  __sanitizer_set_death_callback(tell_seed);
  for (const int each : {SIGABRT, SIGALRM}) std::signal(each, on_crash);
#else
  for (const int each : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) std::signal(each, on_crash);
#endif
}

void begin_seed(std::uint64_t seed, bool traced) {
  place = {.seed = seed, .traced = traced, .digest = 0xcbf29ce484222325};
  alarm(kPatienceSeconds);
}

void begin_step(std::size_t step) { place.step = step; }

void violate(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::printf("seed %llu, step %zu: ", static_cast<unsigned long long>(place.seed), place.step);
  std::vprintf(format, arguments);
  std::printf("; to see each step: weir-sim --start %llu --seeds 1 --trace\n",
              static_cast<unsigned long long>(place.seed));
  va_end(arguments);
  std::fflush(stdout);
  _exit(1);
}

void trace(const char* format, ...) {
  char text[240];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  add_to_digest(text);
  if (place.traced) std::printf("%5zu  %s\n", place.step, text);
}

std::uint64_t digest() { return place.digest; }

}  // namespace weir::sim
