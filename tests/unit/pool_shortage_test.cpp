#include <gtest/gtest.h>
#include <weir/pool.h>

#include <array>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "bell.h"
#include "pool_limits.h"
#include "pool_testing.h"
#include "slab/pool_state.h"

// A pool of 64 buffers, and eight threads that want them.

namespace weir {
namespace {

constexpr std::uint32_t kBytes = 4096;
constexpr std::size_t kThreads = 8;

class PoolShortage : public ::testing::Test {
 protected:
  detail::Depot& depot() { return pool_.state().home_depot(0); }

  Pool pool_{testing::one_class(256 * 1024, kBytes)};
  const std::size_t buffers_ = testing::most_buffers(pool_, kBytes);
};

TEST_F(PoolShortage, NoBufferHidesInIdleThreads) {
  std::barrier step(kThreads + 1);
  std::array<std::thread, kThreads> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      std::vector<Loan> mine;
      for (std::size_t i = 0; i < buffers_ / kThreads; ++i) mine.push_back(pool_.lend(kBytes));
      for (const Loan& loan : mine) EXPECT_TRUE(loan);
      step.arrive_and_wait();  // nothing is left
      step.arrive_and_wait();
      mine.clear();
      step.arrive_and_wait();  // all of it is free
      step.arrive_and_wait();
    });
  }
  step.arrive_and_wait();
  EXPECT_FALSE(testing::lend_all(pool_, kBytes).size() > buffers_ % kThreads);
  step.arrive_and_wait();
  step.arrive_and_wait();
  EXPECT_EQ(testing::lend_all(pool_, kBytes).size(), buffers_) << "idle threads keep some";
  step.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
  testing::expect_law(pool_, 0);
}

TEST_F(PoolShortage, WhoeverDropsServesTheFirstThatWaits) {
  std::vector<Loan> all = testing::lend_all(pool_, kBytes);
  std::array<testing::Bell, kThreads> bells;
  for (testing::Bell& bell : bells) ASSERT_TRUE(pool_.state().enqueue_waiter(depot(), bell));
  for (std::size_t turn = 0; turn < kThreads; ++turn) {
    std::thread([&, loan = std::move(all[turn])]() mutable { loan = Loan{}; }).join();
    for (std::size_t i = 0; i < kThreads; ++i) EXPECT_EQ(bells[i].rang(), i == turn) << turn << " " << i;
    all[turn] = pool_.lend(kBytes);
    EXPECT_TRUE(all[turn]);
  }
  testing::expect_law(pool_, buffers_);
}

/// Memory of a buffer ring is memory for who waits, too.
TEST_F(PoolShortage, PagesThatComeBackServeWhoWaits) {
  std::byte* const pages = pool_.state().take_pages(64 * 1024);
  ASSERT_NE(pages, nullptr);
  const std::vector<Loan> all = testing::lend_all(pool_, kBytes);
  testing::Bell bell;
  ASSERT_TRUE(pool_.state().enqueue_waiter(depot(), bell));
  pool_.state().give_pages(pages, 64 * 1024);
  EXPECT_TRUE(bell.rang());
  EXPECT_TRUE(pool_.lend(kBytes));
}

/// A thread that used a pool once may flush, for another pool, while that one ends.
TEST(PoolsThatEnd, LeaveOthersFlushesAlone) {
  Pool stays{testing::one_class(256 * 1024, kBytes)};
  for (int round = 0; round < 200; ++round) {
    auto ends = std::make_unique<Pool>(testing::one_class(2u << 20, kBytes));
    std::barrier used(2);
    std::thread other([&] {
      { const Loan loan = ends->lend(kBytes); }
      used.arrive_and_wait();
      for (int i = 0; i < 20; ++i) stays.flush();
    });
    used.arrive_and_wait();
    ends.reset();
    other.join();
  }
}

}  // namespace
}  // namespace weir
