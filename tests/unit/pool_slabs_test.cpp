#include <gtest/gtest.h>
#include <weir/pool.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "bell.h"
#include "pool_limits.h"
#include "pool_testing.h"
#include "slab/pool_state.h"

// Memory belongs to no class for good.

namespace weir {
namespace {

using testing::class_of;
using testing::expect_law;
using testing::lend_all;
using testing::most_buffers;
using testing::small_options;

Options many_classes(std::size_t bytes) {
  Options options = small_options(bytes);
  options.classes = {64, 192, 1024, 1536, 4096, 9216, 16384, 65536, 262144};
  options.page_classes = {4096, 65536};
  return options;
}

TEST(PoolSlabs, EachClassInTurnHasAllTheMemory) {
  const Options options = many_classes(4u << 20);
  Pool pool(options);
  for (int round = 0; round < 2; ++round) {
    for (const std::uint32_t bytes : options.classes) {
      std::vector<Loan> loans = lend_all(pool, bytes);
      ASSERT_EQ(loans.size(), most_buffers(pool, bytes)) << bytes;
      for (const std::uint32_t other : options.classes) ASSERT_FALSE(pool.lend(other)) << bytes << " has it all";
      expect_law(pool, loans.size());
      loans.clear();
      pool.flush();
    }
    std::vector<Loan> loans;
    while (Loan loan = pool.lend_pages(65536)) loans.push_back(std::move(loan));
    ASSERT_EQ(loans.size(), most_buffers(pool, class_of(pool, 65536, detail::Alignment::page)));
    loans.clear();
    pool.flush();
  }
  expect_law(pool, 0);
}

TEST(PoolSlabs, AnyClassFollowsAnyOther) {
  const Options options = many_classes(2u << 20);
  for (const std::uint32_t first : options.classes) {
    for (const std::uint32_t second : options.classes) {
      Pool pool(options);
      lend_all(pool, first).clear();
      pool.flush();
      const std::vector<Loan> loans = lend_all(pool, second);
      ASSERT_EQ(loans.size(), most_buffers(pool, second)) << first << " then " << second;
      expect_law(pool, loans.size());
    }
  }
}

/// Buffers in the magazines of others keep their slabs until those threads flush.
TEST(PoolSlabs, FlushedThreadsHoldNoSlabBack) {
  constexpr int kThreads = 4;
  const Options options = many_classes(4u << 20);
  Pool pool(options);
  std::latch filled(kThreads);
  std::latch may_flush(1);
  std::latch flushed(kThreads);
  std::latch end(1);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      std::vector<Loan> loans(200);
      pool.lend_many(4096, loans);
      drop_many(loans);
      filled.arrive_and_wait();
      may_flush.wait();
      pool.flush();
      flushed.count_down();
      end.wait();
    });
  }
  filled.wait();
  EXPECT_GT(pool.counts().cached, 0U);
  const std::size_t held_back = lend_all(pool, 16384).size();
  EXPECT_LT(held_back, most_buffers(pool, 16384)) << "the magazines hide nothing, so this test shows nothing";
  pool.flush();
  may_flush.count_down();
  flushed.wait();
  EXPECT_EQ(lend_all(pool, 16384).size(), most_buffers(pool, 16384));
  end.count_down();
  for (std::thread& thread : threads) thread.join();
  expect_law(pool, 0);
}

TEST(PoolSlabs, ASlabOfWhichOneBufferIsOutStaysAsItIs) {
  const Options options = many_classes(2u << 20);
  Pool pool(options);
  std::vector<Loan> loans = lend_all(pool, 1024);
  const std::size_t per_slab = class_of(pool, 1024).per_slab;
  std::sort(loans.begin(), loans.end(), [](const Loan& a, const Loan& b) { return a.data() < b.data(); });
  std::vector<Loan> kept;
  for (std::size_t i = 0; i < loans.size(); i += per_slab) kept.push_back(std::move(loans[i]));
  for (const Loan& loan : kept) testing::mark(loan, 0x7e);
  loans.clear();
  pool.flush();
  EXPECT_FALSE(pool.lend(65536)) << "no slab is whole";
  EXPECT_EQ(lend_all(pool, 1024).size() + kept.size(), most_buffers(pool, 1024));
  for (const Loan& loan : kept) EXPECT_TRUE(testing::is_marked(loan, 0x7e));
  kept.clear();
  pool.flush();
  EXPECT_EQ(lend_all(pool, 65536).size(), most_buffers(pool, 65536));
  expect_law(pool, 0);
}

TEST(PoolSlabs, ClassesChangeUnderThreadsThatWantDifferentOnes) {
  const Options options = many_classes(1u << 20);
  Pool pool(options);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (unsigned round = 0; round < 300; ++round) {
        const std::uint32_t bytes = options.classes[(round + i) % options.classes.size()];
        std::vector<Loan> loans(64);
        pool.lend_many(bytes, loans);
        for (const Loan& loan : loans) testing::mark(loan, static_cast<std::uint8_t>(i));
        for (const Loan& loan : loans) wrong += !testing::is_marked(loan, static_cast<std::uint8_t>(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  expect_law(pool, 0);
  pool.flush();
  EXPECT_EQ(lend_all(pool, 64).size(), most_buffers(pool, 64));
}

/// 256 KiB with the classes that every pool has.
TEST(SmallestPool, LendsEveryClassAndSeveralAtATime) {
  Pool pool(small_options(256 * 1024));
  for (const std::uint32_t bytes : pool.options().classes) {
    EXPECT_EQ(lend_all(pool, bytes).size(), most_buffers(pool, bytes)) << bytes;
    EXPECT_GE(most_buffers(pool, bytes), std::size_t{256} * 1024 / bytes) << bytes;
    pool.flush();
  }
  const Loan small = pool.lend(512);
  const Loan page = pool.lend_pages(4096);
  const Loan medium = pool.lend(4096);
  const Loan large = pool.lend(65536);
  EXPECT_TRUE(small && page && medium && large) << "four slabs, four classes";
  for (const Loan* loan : {&small, &page, &medium, &large}) testing::mark(*loan, 1);
  EXPECT_FALSE(pool.lend(65536));
  expect_law(pool, 4);
}

/// Waits for a buffer of 16 KiB while another class, in another thread, has all the memory.
TEST(PoolSlabs, WhoWaitsIsFedByWhatAnotherClassGivesBack) {
  Pool pool(many_classes(4u << 20));
  std::vector<Loan> loans = lend_all(pool, 4096);
  ASSERT_FALSE(pool.lend(16384));
  detail::Depot& starved = pool.state().home_depot(pool.state().classes().index_for(16384));
  testing::Bell bell;
  ASSERT_TRUE(pool.state().enqueue_waiter(starved, bell));
  ASSERT_FALSE(bell.rang());
  std::latch dropped(1);
  std::latch end(1);
  std::thread other([&] {
    loans.clear();
    dropped.count_down();
    end.wait();  // it flushes nothing
  });
  dropped.wait();
  EXPECT_TRUE(bell.rang());
  EXPECT_TRUE(pool.lend(16384));
  end.count_down();
  other.join();
  expect_law(pool, 0);
}

/// Who waits closes the magazines of all classes; they open again when nobody waits.
TEST(PoolSlabs, WhileOneWaitsNoClassKeepsBuffersInMagazines) {
  Pool pool(many_classes(4u << 20));
  std::vector<Loan> small = lend_all(pool, 1024);
  std::vector<Loan> some;
  for (int i = 0; i < 8; ++i, small.pop_back()) some.push_back(std::move(small.back()));
  detail::Depot& starved = pool.state().home_depot(pool.state().classes().index_for(65536));
  testing::Bell bell;
  ASSERT_TRUE(pool.state().enqueue_waiter(starved, bell));
  some.clear();
  EXPECT_EQ(pool.counts().cached, 0U);
  starved.remove_waiter(bell);
  small.clear();
  EXPECT_GT(pool.counts().cached, 0U);
  pool.flush();
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
