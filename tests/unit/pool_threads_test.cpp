#include <gtest/gtest.h>
#include <weir/pool.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "pool_limits.h"
#include "pool_testing.h"

namespace weir {
namespace {

using testing::expect_law;
using testing::lend_all;
using testing::one_class;
using testing::small_options;

TEST(PoolThreads, ALoanIsDroppedOnAnyThread) {
  Pool pool(small_options());
  std::vector<Loan> loans;
  for (int i = 0; i < 200; ++i) loans.push_back(pool.lend(4096));
  std::thread([mine = std::move(loans)]() mutable { mine.clear(); }).join();
  expect_law(pool, 0);
  EXPECT_GT(lend_all(pool, 4096).size(), 200U);
}

TEST(PoolThreads, ALoanLentElsewhereIsDroppedHere) {
  Pool pool(small_options());
  Loan loan;
  std::thread([&] { loan = pool.lend(100); }).join();
  EXPECT_EQ(loan.size(), 512U);
  expect_law(pool, 1);
  loan = Loan{};
  expect_law(pool, 0);
}

TEST(PoolThreads, AThreadThatEndsGivesItsMagazinesBack) {
  Pool pool(one_class(4u << 20, 4096));
  for (int i = 0; i < 20; ++i) std::thread([&] { const auto loans = lend_all(pool, 4096); }).join();
  EXPECT_EQ(pool.counts().cached, 0U);
  expect_law(pool, 0);
  EXPECT_EQ(lend_all(pool, 4096).size(), testing::most_buffers(pool, 4096));
}

TEST(PoolThreads, MoreThreadsInTurnThanTheSegmentHasPlaces) {
  Pool pool(small_options());
  for (int i = 0; i < 600; ++i) std::thread([&] { EXPECT_TRUE(pool.lend(1)); }).join();
  expect_law(pool, 0);
}

/// Thread-local objects that hold a loan: each is made at the first call on a thread, and they die in reverse order.
Loan& kept_early() {
  thread_local Loan loan;
  return loan;
}
Loan& kept_late() {
  thread_local Loan loan;
  return loan;
}

TEST(PoolThreads, ALoanInAThreadLocalComesHomeWhicheverDiesFirst) {
  Pool pool(small_options());
  std::thread([&] {
    Loan& early = kept_early();  // outlives what the library keeps for the thread
    early = pool.lend(4096);
    kept_late() = pool.lend(512);
  }).join();
  expect_law(pool, 0);
  EXPECT_EQ(pool.counts().cached, 0U) << "a thread that has ended hides a buffer";
}

TEST(PoolThreads, AThreadThatOnlyDropsAtItsVeryEnd) {
  Pool pool(small_options());
  for (int i = 0; i < 10; ++i) {
    Loan loan = pool.lend(4096);
    std::thread([mine = std::move(loan)]() mutable { kept_early() = std::move(mine); }).join();
  }
  pool.flush();
  expect_law(pool, 0);
  EXPECT_EQ(pool.counts().cached, 0U) << "a thread that has ended hides a buffer";
}

/// More threads than the segment has places, all alive at once.
TEST(PoolThreads, ThreeHundredAtOnce) {
  constexpr int kThreads = 300;
  Pool pool(small_options(8u << 20));
  std::latch all(kThreads);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      all.arrive_and_wait();
      for (int round = 0; round < 20; ++round) {
        const Loan loan = pool.lend(static_cast<std::size_t>(i) * 10);
        if (!loan) continue;
        testing::mark(loan, static_cast<std::uint8_t>(i));
        if (!testing::is_marked(loan, static_cast<std::uint8_t>(i))) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  expect_law(pool, 0);
  EXPECT_TRUE(pool.lend(1));
}

/// It must not wait for a lock that all of the process have in common.
TEST(PoolThreads, WithoutAPlaceGoesStraightToTheDepot) {
  Pool pool(small_options(8u << 20));
  std::latch placed(detail::kMaxThreads);
  std::latch done(1);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < detail::kMaxThreads; ++i) {
    threads.emplace_back([&] {
      { const Loan loan = pool.lend(512); }
      placed.count_down();
      done.wait();
    });
  }
  placed.wait();
  std::latch looked(1);
  std::latch locked(1);
  std::promise<int> lent;
  threads.emplace_back([&] {
    { const Loan loan = pool.lend(512); }  // it looks for a place once
    looked.count_down();
    locked.wait();
    int count = 0;
    for (int i = 0; i < 100; ++i) count += static_cast<bool>(pool.lend(512));
    lent.set_value(count);
  });
  looked.wait();
  {
    const std::lock_guard lock(detail::registry_mutex());
    locked.count_down();
    std::future<int> count = lent.get_future();
    EXPECT_EQ(count.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  }
  done.count_down();
  for (std::thread& thread : threads) thread.join();
  expect_law(pool, 0);
}

TEST(PoolThreads, NoBufferHidesFromASmallPool) {
  constexpr int kThreads = 8;
  constexpr int kBuffers = 64;
  Options options = one_class(256 * 1024, 4096);
  options.slab_bytes = 64 * 1024;
  Pool pool(options);
  std::barrier turn(kThreads);
  std::atomic<int> held{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 2 * kThreads; ++round) {
        turn.arrive_and_wait();
        if (round % kThreads != i) continue;
        held = static_cast<int>(lend_all(pool, 4096).size());  // dropped at once, on this thread, which then idles
        EXPECT_GE(held, kBuffers);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  expect_law(pool, 0);
}

TEST(PoolThreads, LoansTravelBetweenThreadsAllTheTime) {
  constexpr int kThreads = 4;
  constexpr int kSlots = 64;
  Pool pool(small_options());
  struct Slot {
    std::mutex mutex;
    Loan loan;
    std::uint8_t seed = 0;
  };
  std::vector<Slot> slots(kSlots);
  std::atomic<int> wrong{0};
  const auto work = [&](unsigned thread) {
    for (unsigned i = 0; i < 6'000; ++i) {
      Loan fresh = pool.lend((i * 97 + thread) % 3000);
      const auto seed = static_cast<std::uint8_t>(i + thread);
      if (fresh) testing::mark(fresh, seed);
      Slot& slot = slots[(i * 31 + thread * 17) % kSlots];
      const std::lock_guard lock(slot.mutex);
      if (slot.loan && !testing::is_marked(slot.loan, slot.seed)) ++wrong;
      slot.loan = std::move(fresh);
      slot.seed = seed;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  slots.clear();
  expect_law(pool, 0);
}

TEST(PoolThreads, CountsCanBeReadWhileOthersLend) {
  Pool pool(small_options());
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) (void)pool.lend(700);
  });
  for (int i = 0; i < 2000; ++i) {
    const Counts counts = pool.counts();
    EXPECT_LE(counts.capacity, (4u << 20) / 1024);
    EXPECT_LE(counts.free, (4u << 20) / 1024);
    EXPECT_LE(counts.cached, 64U);
  }
  stop = true;
  busy.join();
  expect_law(pool, 0);
}

/// The pool goes while threads that used it once, and are idle now, come to their end.
TEST(PoolThreads, CountsCanBeReadWhileThreadsBeginAndEnd) {
  Pool pool(small_options());
  std::atomic<bool> stop{false};
  std::thread others([&] {
    for (int i = 0; i < 100; ++i) std::thread([&] { EXPECT_TRUE(pool.lend(100)); }).join();
    stop = true;
  });
  while (!stop) EXPECT_EQ(pool.counts().kernel_ring, 0U);
  others.join();
  expect_law(pool, 0);
}

TEST(PoolThreads, APoolIsDestroyedWhileItsFormerUsersEnd) {
  for (int round = 0; round < 100; ++round) {
    constexpr int kThreads = 4;
    auto pool = std::make_unique<Pool>(small_options(1u << 20));
    std::latch used(kThreads);
    std::latch ending(1);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (const std::size_t bytes : {100U, 1000U, 4000U}) (void)pool->lend(bytes);
        used.count_down();
        ending.wait();
      });
    }
    used.wait();
    ending.count_down();
    pool.reset();
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(PoolThreads, PoolsComeAndGoUnderLivingThreads) {
  constexpr int kThreads = 3;
  std::barrier turn(kThreads + 1);
  std::unique_ptr<Pool> pool;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 40; ++round) {
        turn.arrive_and_wait();  // the pool is there
        for (int j = 0; j < 50; ++j) EXPECT_TRUE(pool->lend(static_cast<std::size_t>(j) * 20));
        turn.arrive_and_wait();  // nobody uses it any more
        turn.arrive_and_wait();  // it is gone: a thread that ended sooner would give its magazines back meanwhile
      }
    });
  }
  for (int round = 0; round < 40; ++round) {
    pool = std::make_unique<Pool>(round % 2 == 0 ? small_options(2u << 20) : one_class(2u << 20, 2048));
    turn.arrive_and_wait();
    turn.arrive_and_wait();
    expect_law(*pool, 0);
    pool.reset();
    turn.arrive_and_wait();
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weir
