#include <gtest/gtest.h>
#include <weir/pool.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "pool_limits.h"
#include "pool_testing.h"
#include "seed.h"

// Lanes, and many loans at once: whatever one by one would have done.

namespace weir {
namespace {

using testing::expect_law;
using testing::most_buffers;
using testing::one_class;
using testing::small_options;

bool all_empty(const std::vector<Loan>& loans) {
  return std::none_of(loans.begin(), loans.end(), [](const Loan& loan) { return bool{loan}; });
}

TEST(Lane, LendsWhatThePoolWould) {
  Pool pool(small_options());
  for (std::size_t bytes = 0; bytes <= 65536; bytes += 61) {
    Lane lane = pool.lane(bytes);
    const Loan loan = lane.lend();
    ASSERT_TRUE(loan);
    ASSERT_EQ(loan.size(), pool.lend(bytes).size()) << bytes;
  }
  expect_law(pool, 0);
}

TEST(Lane, OfNoClassLendsNothing) {
  Pool pool(small_options());
  for (const std::size_t bytes : {std::size_t{65537}, std::size_t{1} << 40, SIZE_MAX}) {
    Lane lane = pool.lane(bytes);
    EXPECT_FALSE(lane.lend());
    EXPECT_FALSE(lane.lend());
  }
  expect_law(pool, 0);
}

TEST(Lane, CopiesAndThreadsShareTheClass) {
  Pool pool(small_options());
  const Lane lane = pool.lane(4000);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, mine = lane]() mutable {
      for (int j = 0; j < 5000; ++j) wrong += mine.lend().size() != 4096;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  expect_law(pool, 0);
}

TEST(Lane, ExhaustionIsAnAnswer) {
  Pool pool(one_class(256 * 1024, 4096));
  Lane lane = pool.lane(1);
  std::vector<Loan> loans;
  while (Loan loan = lane.lend()) loans.push_back(std::move(loan));
  EXPECT_EQ(loans.size(), most_buffers(pool, 4096));
  loans.pop_back();
  EXPECT_TRUE(lane.lend());
}

TEST(LendMany, LendsEachCountOnceAndWhole) {
  Pool pool(small_options(8u << 20));
  for (std::size_t count = 0; count <= 400; ++count) {
    std::vector<Loan> loans(count);
    ASSERT_EQ(pool.lend_many(1000, loans), count);
    std::set<std::byte*> distinct;
    for (const Loan& loan : loans) {
      ASSERT_EQ(loan.size(), 1024U);
      ASSERT_TRUE(distinct.insert(loan.data()).second);
    }
    ASSERT_EQ(pool.counts().user, count);
    drop_many(loans);
    ASSERT_TRUE(all_empty(loans));
    ASSERT_EQ(pool.counts().user, 0U);
  }
  expect_law(pool, 0);
}

TEST(LendMany, OfNoClassOrIntoNothingIsNone) {
  Pool pool(small_options());
  std::vector<Loan> loans(10);
  EXPECT_EQ(pool.lend_many(65537, loans), 0U);
  EXPECT_EQ(pool.lend_many(SIZE_MAX, loans), 0U);
  EXPECT_TRUE(all_empty(loans));
  EXPECT_EQ(pool.lend_many(100, {}), 0U);
  drop_many({});
  drop_many(loans);
  expect_law(pool, 0);
}

class LendManyClasses : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(LendManyClasses, StopsInTheMiddleWhenThePoolIsEmpty) {
  Options options = one_class(4u << 20, GetParam());
  Pool pool(options);
  const std::size_t most = most_buffers(pool, GetParam());
  for (int round = 0; round < 3; ++round) {
    std::vector<Loan> loans(most + 10);
    ASSERT_EQ(pool.lend_many(GetParam(), loans), most);
    for (std::size_t i = 0; i < loans.size(); ++i) ASSERT_EQ(bool{loans[i]}, i < most) << "those are the first";
    std::vector<Loan> more(3);
    EXPECT_EQ(pool.lend_many(GetParam(), more), 0U);
    EXPECT_TRUE(all_empty(more));
    expect_law(pool, most);
    drop_many(std::span(loans).first(1));
    EXPECT_EQ(pool.lend_many(1, more), 1U);
    drop_many(more);
    drop_many(loans);
    expect_law(pool, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Classes, LendManyClasses, ::testing::Values(64, 1536, 4096, 65536, 1u << 20, 2u << 20));

TEST(LendMany, LeavesAsManyAsOneByOne) {
  std::mt19937_64 random(testing::seed());
  Pool many(small_options(2u << 20));
  Pool single(small_options(2u << 20));
  std::vector<std::vector<Loan>> of_many;
  std::vector<std::vector<Loan>> of_single;
  for (int i = 0; i < 2000; ++i) {
    const std::size_t bytes = random() % 70'000;
    const std::size_t count = random() % 200;
    std::vector<Loan> loans(count);
    const std::size_t lent = many.lend_many(bytes, loans);
    std::vector<Loan> others;
    while (others.size() < count) {
      Loan loan = single.lend(bytes);
      if (!loan) break;
      others.push_back(std::move(loan));
    }
    ASSERT_EQ(lent, others.size()) << bytes << " bytes, " << count << " at once";
    for (std::size_t j = 0; j < lent; ++j) ASSERT_EQ(loans[j].size(), others[j].size());
    of_many.push_back(std::move(loans));
    of_single.push_back(std::move(others));
    while (of_many.size() > 6 || (!of_many.empty() && random() % 3 == 0)) {
      const std::size_t victim = random() % of_many.size();
      drop_many(of_many[victim]);
      of_many.erase(of_many.begin() + static_cast<std::ptrdiff_t>(victim));
      of_single.erase(of_single.begin() + static_cast<std::ptrdiff_t>(victim));
    }
    ASSERT_EQ(many.counts().user, single.counts().user);
    ASSERT_TRUE(many.counts().law_holds() && single.counts().law_holds());
  }
  for (std::vector<Loan>& loans : of_many) drop_many(loans);
  of_single.clear();
  expect_law(many, 0);
  expect_law(single, 0);
}

/// Loans of all classes, of two pools, released and moved-from ones, in any order.
TEST(DropMany, TakesWhateverThereIs) {
  std::mt19937_64 random(testing::seed());
  Pool one(small_options());
  Pool two(one_class(4u << 20, 2048));
  for (int round = 0; round < 300; ++round) {
    std::vector<Loan> loans;
    std::vector<std::byte*> released;
    for (std::uint64_t i = random() % 400; i > 0; --i) {
      const std::uint64_t what = random() % 10;
      if (what < 6) loans.push_back(one.lend(random() % 5000));
      if (what == 6) loans.push_back(one.lend_pages(1));
      if (what == 7) loans.push_back(two.lend(1));
      if (what == 8) loans.emplace_back();
      if (what == 9) {
        loans.push_back(one.lend(100));
        if (loans.back()) released.push_back(loans.back().release());
      }
    }
    if (round % 2 == 0) std::shuffle(loans.begin(), loans.end(), random);
    drop_many(loans);
    ASSERT_TRUE(all_empty(loans));
    ASSERT_EQ(one.counts().user, released.size());
    for (std::byte* buffer : released) (void)one.adopt(buffer);
    ASSERT_EQ(one.counts().user, 0U);
    ASSERT_EQ(two.counts().user, 0U);
  }
  expect_law(one, 0);
  expect_law(two, 0);
}

TEST(DropMany, BringsHomeWhatWasLentElsewhere) {
  Pool pool(one_class(4u << 20, 4096));
  for (int round = 0; round < 20; ++round) {
    std::vector<Loan> loans(900);
    const std::size_t lent = pool.lend_many(4096, loans);
    ASSERT_EQ(lent, 900U);
    std::thread([&] { drop_many(loans); }).join();
    ASSERT_EQ(pool.counts().cached + pool.counts().free, pool.counts().capacity);
  }
  expect_law(pool, 0);
  EXPECT_EQ(testing::lend_all(pool, 4096).size(), most_buffers(pool, 4096));
}

TEST(LendMany, ThreadsNeverShareABuffer) {
  Pool pool(small_options(2u << 20));
  std::atomic<int> wrong{0};
  const std::uint64_t first = testing::seed();
  const auto work = [&](unsigned thread) {
    std::mt19937_64 random(first + thread);
    const auto mark = static_cast<std::uint8_t>(thread + 1);
    for (int i = 0; i < testing::steps(20'000); ++i) {
      std::vector<Loan> loans(random() % 150);
      const std::size_t lent = pool.lend_many(random() % 4000, loans);
      for (std::size_t j = 0; j < lent; ++j) loans[j].bytes().front() = loans[j].bytes().back() = std::byte{mark};
      for (std::size_t j = 0; j < lent; ++j) {
        wrong += loans[j].bytes().front() != std::byte{mark} || loans[j].bytes().back() != std::byte{mark};
      }
      if (i % 3 != 0) drop_many(loans);
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
