#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace weir::testing {

/// The seed that a random test's numbers follow from: 1, unless TEST_SEED in the environment is another number. It is
/// fixed so that no test fails by chance.
inline std::uint64_t seed() {
  static const std::uint64_t chosen = [] {
    const char* given = std::getenv("TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 1ULL;
  }();
  return chosen;
}

/// Says after each test that failed how to repeat its random numbers.
class SeedTeller : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo& test) override {
    if (!test.result()->Failed()) return;
    std::printf("TEST_SEED=%llu repeats it; another number tries others\n", static_cast<unsigned long long>(seed()));
  }
};

inline const bool seed_is_told = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new SeedTeller);  // which googletest deletes
  return true;
}();

/// Steps of a random test: fewer where a sanitizer makes each of them slow.
constexpr int steps(int plain) {
#ifdef WEIR_SANITIZED
  return plain / 20;
#else
  return plain;
#endif
}

}  // namespace weir::testing
