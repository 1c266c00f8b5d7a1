#pragma once

#include <cstdint>

namespace weir::testing {

/// The seed that a random test's numbers follow from: 1, unless TEST_SEED in the environment is another number. It is
/// fixed so that no test fails by chance. A test that fails says how it is repeated.
std::uint64_t seed();

/// Steps of a random test: fewer where a sanitizer makes each of them slow.
constexpr int steps(int plain) {
#ifdef WEIR_SANITIZED
  return plain / 20;
#else
  return plain;
#endif
}

}  // namespace weir::testing
