#include <gtest/gtest.h>
#include <weir/pool.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "pool_limits.h"
#include "pool_testing.h"

namespace weir {
namespace {

using testing::expect_law;
using testing::most_buffers;
using testing::one_class;
using testing::small_options;

TEST(Adopt, MakesTheSameLoanAgain) {
  Options options = small_options(16u << 20);
  options.classes = {64, 192, 1536, 4096, 9216, 65536, 1u << 20};
  Pool pool(options);
  for (const std::uint32_t bytes : options.classes) {
    Loan loan = pool.lend(bytes);
    std::byte* const data = loan.data();
    testing::mark(loan, 0x3c);
    std::byte* const raw = loan.release();
    EXPECT_EQ(raw, data);
    EXPECT_FALSE(loan);
    EXPECT_EQ(loan.size(), 0U);
    expect_law(pool, 1);
    Loan again = pool.adopt(raw);
    EXPECT_EQ(again.data(), data);
    EXPECT_EQ(again.size(), bytes);
    EXPECT_TRUE(testing::is_marked(again, 0x3c));
    expect_law(pool, 1);
    again = Loan{};
    expect_law(pool, 0);
  }
}

TEST(Adopt, KnowsPageBuffersToo) {
  Pool pool(small_options());
  for (const std::uint32_t bytes : pool.options().page_classes) {
    std::byte* const raw = pool.lend_pages(bytes).release();
    ASSERT_NE(raw, nullptr);
    EXPECT_EQ(pool.adopt(raw).size(), bytes);
  }
  expect_law(pool, 0);
}

TEST(Adopt, GivesTheWholeBufferWhateverWasInUse) {
  Pool pool(small_options());
  Loan loan = pool.lend(2048);
  loan.truncate(3);
  EXPECT_EQ(pool.adopt(loan.release()).size(), 2048U);
  expect_law(pool, 0);
}

TEST(Release, OfAnEmptyLoanIsNothing) {
  Loan loan;
  EXPECT_EQ(loan.release(), nullptr);
  Pool pool(small_options());
  loan = pool.lend(1);
  const Loan moved = std::move(loan);
  EXPECT_EQ(loan.release(), nullptr);  // NOLINT(bugprone-use-after-move): what is left must be empty
  EXPECT_TRUE(moved);
}

TEST(Release, ALoanThatWasReleasedTakesAnother) {
  Pool pool(small_options());
  Loan loan = pool.lend(100);
  std::byte* const raw = loan.release();
  loan = pool.lend(5000);
  EXPECT_EQ(loan.size(), 8192U);
  expect_law(pool, 2);
  loan = pool.adopt(raw);
  EXPECT_EQ(loan.size(), 512U);
  expect_law(pool, 1);
}

/// Every buffer of the pool goes round, by way of a plain array of pointers.
TEST(Adopt, EveryBufferOfThePoolGoesRound) {
  Pool pool(one_class(4u << 20, 4096));
  std::vector<std::byte*> raw;
  while (Loan loan = pool.lend(1)) raw.push_back(loan.release());
  EXPECT_EQ(raw.size(), most_buffers(pool, 4096));
  expect_law(pool, raw.size());
  std::reverse(raw.begin(), raw.end());
  std::thread([&] {
    for (std::byte* buffer : raw) (void)pool.adopt(buffer);
  }).join();
  expect_law(pool, 0);
  EXPECT_EQ(testing::lend_all(pool, 1).size(), raw.size());
}

TEST(Adopt, FindsTheClassThatTheMemoryHasNow) {
  Options options = small_options(1u << 20);
  options.classes = {1024, 16384};
  Pool pool(options);
  for (int round = 0; round < 3; ++round) {
    for (const std::uint32_t bytes : options.classes) {
      std::vector<std::byte*> raw;
      while (Loan loan = pool.lend(bytes)) raw.push_back(loan.release());
      ASSERT_EQ(raw.size(), most_buffers(pool, bytes));
      for (std::byte* buffer : raw) ASSERT_EQ(pool.adopt(buffer).size(), bytes);
      pool.flush();
    }
  }
  expect_law(pool, 0);
}

TEST(Adopt, WorksWhileOthersLend) {
  Pool pool(small_options());
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (unsigned j = 0; j < 20'000; ++j) {
        Loan loan = pool.lend((i * 977 + j * 131) % 20'000);
        if (!loan) continue;
        const std::uint32_t size = loan.size();
        wrong += pool.adopt(loan.release()).size() != size;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
