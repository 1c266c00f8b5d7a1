#include <gtest/gtest.h>
#include <weir/pool.h>
#include <weir/trace.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "os/process.h"
#include "pool_testing.h"
#include "slab/pool_state.h"
#include "stats/segment.h"

// What a pool that traces writes into the segment.

namespace weir {
namespace {

using detail::BorrowRecord;
using testing::small_options;

constexpr std::size_t kMiB = 1u << 20;

Options tracing(std::size_t bytes) {
  Options options = small_options(bytes);
  options.trace = true;
  return options;
}

std::vector<const BorrowRecord*> listed() {
  std::vector<const BorrowRecord*> records;
  for (const BorrowRecord& record : detail::segment().borrows) {
    if (record.buffer != 0) records.push_back(&record);
  }
  return records;
}

const BorrowRecord* record_of(const Loan& loan) {
  const auto records = listed();
  const auto found = std::find_if(records.begin(), records.end(), [&](const BorrowRecord* record) {
    return record->buffer == reinterpret_cast<std::uint64_t>(loan.data());
  });
  return found != records.end() ? *found : nullptr;
}

TEST(Borrows, SayWhoHasWhat) {
  Pool pool(tracing(kMiB));
  const Loan loan = pool.lend(4000);
  const BorrowRecord* record = record_of(loan);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->pool, pool.state().id());
  EXPECT_EQ(record->bytes, 4096U);
  EXPECT_EQ(record->thread, os::thread_id());
  EXPECT_GT(record->depth, 2U);
  EXPECT_LE(record->depth, detail::kBorrowFrames);
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  EXPECT_GT(std::chrono::nanoseconds(record->since), now - std::chrono::seconds(60));
  EXPECT_LE(std::chrono::nanoseconds(record->since), now);
}

TEST(Borrows, AreGoneWithTheLoan) {
  Pool pool(tracing(kMiB));
  Loan kept = pool.lend(512);
  {
    const std::vector<Loan> loans = testing::lend_all(pool, 4096);
    EXPECT_EQ(listed().size(), loans.size() + 1);
  }
  EXPECT_EQ(listed().size(), 1U);
  EXPECT_NE(record_of(kept), nullptr);
  std::byte* const raw = kept.release();
  EXPECT_EQ(listed().size(), 1U) << "it stays lent";
  std::thread([&] { pool.drop(raw); }).join();
  EXPECT_TRUE(listed().empty());
}

TEST(Borrows, HaveTheInnermostTagOfTheirThread) {
  Pool pool(tracing(kMiB));
  const Loan before = pool.lend(512);
  const BorrowerTag outer("upload");
  const Loan first = pool.lend(512);
  Loan second;
  Loan elsewhere;
  {
    const BorrowerTag inner("a name that is longer than the room for it");
    second = pool.lend(512);
    std::thread([&] { elsewhere = pool.lend(512); }).join();
  }
  const Loan third = pool.lend(512);
  EXPECT_STREQ(record_of(before)->tag.data(), "");
  EXPECT_STREQ(record_of(first)->tag.data(), "upload");
  EXPECT_STREQ(record_of(second)->tag.data(), "a name that is longer t");
  EXPECT_STREQ(record_of(elsewhere)->tag.data(), "");
  EXPECT_STREQ(record_of(third)->tag.data(), "upload");
}

TEST(Borrows, BeyondTheRoomAreCounted) {
  Options options = tracing(std::size_t{2} * 64 * detail::kMaxBorrows);
  options.classes = {64};
  options.page_classes = {};
  Pool pool(options);
  const detail::PoolRecord& record = detail::segment().pools[pool.state().id()];
  std::vector<Loan> loans;
  for (std::uint32_t i = 0; i < detail::kMaxBorrows + 100; ++i) {
    loans.push_back(pool.lend(64));
    ASSERT_TRUE(loans.back());
  }
  EXPECT_EQ(listed().size(), detail::kMaxBorrows);
  EXPECT_EQ(record.unlisted, 100U);
  loans.pop_back();
  EXPECT_EQ(record.unlisted, 99U);
  loans.erase(loans.begin());
  loans.push_back(pool.lend(64));
  EXPECT_EQ(record.unlisted, 99U) << "there was room again";
  loans.clear();
  EXPECT_EQ(record.unlisted, 0U);
  EXPECT_TRUE(listed().empty());
}

TEST(Borrows, OfAPoolThatDoesNotTraceAreNotListed) {
  Pool traced(tracing(kMiB));
  Pool other(small_options(kMiB));
  EXPECT_EQ(detail::segment().pools[traced.state().id()].traces, 1U);
  EXPECT_EQ(detail::segment().pools[other.state().id()].traces, 0U);
  const Loan loan = other.lend(512);
  EXPECT_TRUE(listed().empty());
}

TEST(BorrowsDeath, NameWhoHoldsTheOldestAtTheEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Loan loan;
        Pool pool(tracing(kMiB));
        const BorrowerTag tag("upload");
        loan = pool.lend(512);
      },
      "512 B borrowed [0-9]+ ms ago by thread [0-9]+ for upload at");
}

}  // namespace
}  // namespace weir
