#include <gtest/gtest.h>
#include <weir/pool.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "pool_testing.h"

// Broken promises are named and fatal.

namespace weir {
namespace {

using ::testing::KilledBySignal;
using testing::small_options;

class PoolDeathTest : public ::testing::Test {
 protected:
  PoolDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(PoolDeathTest, APoolGoesBeforeItsLoans) {
  EXPECT_EXIT(
      {
        Options options = small_options();
        options.name = "front";
        auto pool = std::make_unique<Pool>(options);
        const Loan loan = pool->lend(3000);
        pool.reset();
      },
      KilledBySignal(SIGABRT), "weir: pool 'front' destroyed while buffers of 4096 bytes are out: 1 with users");
}

TEST_F(PoolDeathTest, TheClassThatIsOutIsTheOneNamed) {
  EXPECT_EXIT(
      {
        auto pool = std::make_unique<Pool>(small_options());
        (void)pool->lend(100);
        const Loan first = pool->lend(30'000);
        const Loan second = pool->lend(30'000);
        pool.reset();
      },
      KilledBySignal(SIGABRT), "buffers of 32768 bytes are out: 2 with users");
}

TEST_F(PoolDeathTest, ALoanIsDroppedIntoNoPool) {
  EXPECT_EXIT(
      {
        alignas(Pool) std::byte storage[sizeof(Pool)];
        Pool* pool = new (storage) Pool(small_options());
        Loan loan = pool->lend(100);
        // What a program does that keeps a loan in a place it forgot: a copy of its bytes outlives both.
        alignas(Loan) std::byte copy[sizeof(Loan)];
        std::memcpy(copy, static_cast<void*>(&loan), sizeof loan);
        loan = Loan{};
        pool->~Pool();
        reinterpret_cast<Loan*>(copy)->~Loan();
      },
      KilledBySignal(SIGABRT), "weir: a loan was dropped after its pool was destroyed");
}

TEST_F(PoolDeathTest, ABufferReturnedTwiceIsFoundByWalking) {
  EXPECT_EXIT(
      {
        Pool pool(small_options());
        Loan loan = pool.lend(100);
        alignas(Loan) std::byte copy[sizeof(Loan)];
        std::memcpy(copy, static_cast<void*>(&loan), sizeof loan);
        loan = Loan{};
        reinterpret_cast<Loan*>(copy)->~Loan();
        std::fprintf(stderr, "%s\n", pool.check_all().c_str());
        std::_Exit(pool.check_all().empty() ? 1 : 0);
      },
      ::testing::ExitedWithCode(0), "a buffer is in two hands: a magazine and a magazine");
}

}  // namespace
}  // namespace weir
