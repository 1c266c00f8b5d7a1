#include <gtest/gtest.h>
#include <weir/pool.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "pool_testing.h"
#include "slab/pool_state.h"

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

/// What a program's own end may do after the library's static objects would be gone: use what they gave back.
void overwrite_what_is_free() {
  static auto& kept = *new std::vector<void*>;  // and it is never given back, which is no leak while it can be reached
  for (std::size_t i = 0; i < 20'000; ++i) {
    void* const block = std::malloc(8 + i % 64);
    std::memset(block, 0x41, 8 + i % 64);
    kept.push_back(block);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
}

/// Nobody destroys this pool, and nobody stops the thread.
TEST_F(PoolDeathTest, AThreadUsesAPoolUntilTheProcessHasEnded) {
  EXPECT_EXIT(
      {
        std::atexit(overwrite_what_is_free);
        static Pool& pool = *new Pool(small_options());
        static std::atomic<int> rounds{0};
        std::thread([] {
          for (;; ++rounds) testing::lend_all(pool, 4096);
        }).detach();
        while (rounds < 3) std::this_thread::yield();
        std::exit(0);  // NOLINT(concurrency-mt-unsafe): that is what is tried
      },
      ::testing::ExitedWithCode(0), "");
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

class AdoptDeathTest : public PoolDeathTest {
 protected:
  /// The pool is made in the child that dies, as the line says of which address.
  static void adopt_at(std::byte* (*where)(Pool&)) {
    Pool pool(small_options(1u << 20));
    std::byte* const address = where(pool);
    const Loan loan = pool.adopt(address);
  }
  static constexpr const char* kNoMemory = "weir: adopt\\(.*\\): the pool 'pool' has no such memory";
  static constexpr const char* kNoBuffer = "weir: adopt\\(.*\\): no buffer of the pool 'pool' starts there";
};

TEST_F(AdoptDeathTest, ForeignPointersAreNamed) {
  static std::byte outside[4096];
  EXPECT_EXIT(adopt_at([](Pool&) { return outside; }), KilledBySignal(SIGABRT), kNoMemory);
  EXPECT_EXIT(adopt_at([](Pool&) -> std::byte* { return nullptr; }), KilledBySignal(SIGABRT), kNoMemory);
  EXPECT_EXIT(adopt_at([](Pool&) { return reinterpret_cast<std::byte*>(UINTPTR_MAX); }), KilledBySignal(SIGABRT),
              kNoMemory);
}

TEST_F(AdoptDeathTest, ABufferOfAnotherPoolIsForeign) {
  EXPECT_EXIT(
      {
        Pool other(small_options(1u << 20));
        Pool pool(small_options(1u << 20));
        (void)pool.adopt(other.lend(4096).release());
      },
      KilledBySignal(SIGABRT), kNoMemory);
}

TEST_F(AdoptDeathTest, TheMiddleOfABufferIsNoBuffer) {
  EXPECT_EXIT(adopt_at([](Pool& pool) { return pool.lend(4096).release() + 1; }), KilledBySignal(SIGABRT), kNoBuffer);
  EXPECT_EXIT(adopt_at([](Pool& pool) { return pool.lend(4096).release() + 64; }), KilledBySignal(SIGABRT), kNoBuffer);
  EXPECT_EXIT(adopt_at([](Pool& pool) { return pool.lend(512).release() + 511; }), KilledBySignal(SIGABRT), kNoBuffer);
  EXPECT_EXIT(adopt_at([](Pool& pool) { return pool.lend(65536).release() + 4096; }), KilledBySignal(SIGABRT),
              kNoBuffer);
}

/// The last chunk of an arena of 1 MiB, which starts at a multiple of 2 MiB.
TEST_F(AdoptDeathTest, MemoryThatIsNotCutIsNoBuffer) {
  EXPECT_EXIT(adopt_at([](Pool& pool) {
                std::byte* const buffer = pool.lend(4096).release();
                const std::size_t offset = reinterpret_cast<std::uintptr_t>(buffer) % (2u << 20);
                return buffer - offset + (960u << 10);
              }),
              KilledBySignal(SIGABRT), kNoBuffer);
}

TEST_F(AdoptDeathTest, MemoryThatIsABufferNoLongerIsNoBuffer) {
  EXPECT_EXIT(adopt_at([](Pool& pool) {
                std::byte* const buffer = pool.lend(4096).release();
                (void)pool.adopt(buffer);
                pool.trim();
                return buffer;
              }),
              KilledBySignal(SIGABRT), kNoBuffer);
}

TEST_F(AdoptDeathTest, ThePagesOfARingAreNoBuffer) {
  for (const std::size_t bytes : {std::size_t{4096}, std::size_t{65536}}) {
    EXPECT_EXIT(
        {
          Pool pool(small_options(1u << 20));
          (void)pool.adopt(pool.state().take_pages(bytes));
        },
        KilledBySignal(SIGABRT), kNoBuffer);
  }
}

#ifndef WEIR_CHECKED
/// Without a checked build, it is seen when both have come home.
TEST_F(AdoptDeathTest, AdoptedTwiceIsReturnedTwice) {
  EXPECT_EXIT(
      {
        Pool pool(small_options());
        std::byte* const raw = pool.lend(4096).release();
        (void)pool.adopt(raw);
        (void)pool.adopt(raw);
        pool.trim();
      },
      KilledBySignal(SIGABRT), "weir: a buffer of 4096 bytes was returned twice");
}
#endif

#ifdef WEIR_CHECKED
TEST_F(PoolDeathTest, ABufferIsReturnedTwice) {
  EXPECT_EXIT(
      {
        Pool pool(small_options());
        Loan loan = pool.lend(100);
        alignas(Loan) std::byte copy[sizeof(Loan)];
        std::memcpy(copy, static_cast<void*>(&loan), sizeof loan);
        loan = Loan{};
        reinterpret_cast<Loan*>(copy)->~Loan();
      },
      KilledBySignal(SIGABRT), "weir: ");
}
#else
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
#endif

}  // namespace
}  // namespace weir
