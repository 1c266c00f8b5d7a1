#include "seed.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

namespace weir::testing {
namespace {

class SeedTeller : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo& test) override {
    if (!test.result()->Failed()) return;
    std::printf("TEST_SEED=%llu repeats it; another number tries others\n", static_cast<unsigned long long>(seed()));
  }
};

const bool seed_is_told = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new SeedTeller);  // which googletest deletes
  return true;
}();

}  // namespace

std::uint64_t seed() {
  const char* given = std::getenv("TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

}  // namespace weir::testing
