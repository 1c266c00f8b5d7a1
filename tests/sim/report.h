#pragma once

#include <cstddef>
#include <cstdint>

// Where a run is, and how it tells of a violation.

namespace weir::sim {

/// Installs what tells the seed when the library aborts, crashes, or a call of it does not return.
void watch_for_crashes();
void begin_seed(std::uint64_t seed, bool traced);
void begin_step(std::size_t step);

/// An invariant is broken: prints it with the seed, and exits with 1. May be called from inside noexcept functions.
[[noreturn]] __attribute__((format(printf, 1, 2))) void violate(const char* format, ...);

/// One line of what happens, where the run is traced.
__attribute__((format(printf, 1, 2))) void trace(const char* format, ...);
/// Sums up all that was traced or not: two runs of a seed have the same.
std::uint64_t digest();

}  // namespace weir::sim
