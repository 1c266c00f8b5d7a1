#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace weir::testing {

/// The seed of a random test: another one each time, and printed; TEST_SEED repeats a run.
inline std::uint64_t seed() {
  const char* given = std::getenv("TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

/// Steps of a random test: fewer where a sanitizer makes each of them slow.
constexpr int steps(int plain) {
#ifdef WEIR_SANITIZED
  return plain / 20;
#else
  return plain;
#endif
}

}  // namespace weir::testing
