#include "cache/depot.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "bell.h"
#include "cache/magazines.h"
#include "cache/threads.h"
#include "chunks.h"
#include "stats/counts.h"

namespace weir::detail {
namespace {

using testing::Bell;

constexpr std::size_t kSlab = kChunkBytes;
constexpr std::uint32_t kSlabs = 4;
constexpr std::uint32_t kBytes = 16384;
constexpr std::uint32_t kPerSlab = kSlab / kBytes;
constexpr std::uint32_t kLane = 77;
constexpr std::uint32_t kMagazine = 4;

class DepotTest : public ::testing::Test {
 protected:
  DepotTest() { blocks_.add_memory(memory_.base(), kSlabs * kSlab); }
  ~DepotTest() override { depot_.retire(); }

  std::vector<std::byte*> take(std::size_t count) {
    std::vector<std::byte*> buffers(count);
    buffers.resize(depot_.take(buffers));
    return buffers;
  }
  std::vector<std::byte*> take_all() {
    std::vector<std::byte*> all;
    for (auto some = take(3); !some.empty(); some = take(3)) all.insert(all.end(), some.begin(), some.end());
    return all;
  }
  /// All but none in the depot, which is not starved: nobody asked for more than there was.
  std::vector<std::byte*> take_all_but_ask_no_more() {
    std::vector<std::byte*> all = take_all();
    depot_.give(std::span(all).first(kPerSlab));
    EXPECT_EQ(take(kPerSlab).size(), kPerSlab);
    return all;
  }
  /// Comes home as a loan of the calling thread does.
  void drop(std::byte* buffer) { const Loan loan = LoanParts{buffer, depot_.lane(), kBytes}.lend(); }

  /// The law, where nobody but the depot counts.
  void expect_counts(std::uint64_t capacity, std::uint64_t free) {
    EXPECT_EQ(depot_.record().capacity.load(), capacity);
    EXPECT_EQ(depot_.record().free.load(), free);
    EXPECT_EQ(home(), free);
  }
  std::size_t home() const {
    std::size_t count = 0;
    depot_.visit_home([&](std::byte*) { ++count; });
    return count;
  }

  testing::Chunks memory_{kSlabs};
  BuddyBlocks blocks_{memory_.map};
  Depot depot_{blocks_, make_size_class(kBytes, Alignment::line, kSlab), kLane, kMagazine};
};

TEST_F(DepotTest, IsFoundByItsLane) {
  EXPECT_EQ(depot_of(depot_.lane()), &depot_);
  EXPECT_EQ(depot_of(depot_.lane() + kMagazineBytes), nullptr);
  EXPECT_EQ(depot_.record().bytes, kBytes);
}

TEST_F(DepotTest, CutsSlabsOnlyWhenItRunsDry) {
  expect_counts(0, 0);
  EXPECT_EQ(take(1).size(), 1U);
  expect_counts(kPerSlab, kPerSlab - 1);
  EXPECT_EQ(take(kPerSlab - 1).size(), kPerSlab - 1);
  expect_counts(kPerSlab, 0);
  EXPECT_EQ(take(1).size(), 1U);
  expect_counts(2 * kPerSlab, kPerSlab - 1);
}

TEST_F(DepotTest, EveryBufferIsGivenOnceAndThenNone) {
  const std::vector<std::byte*> all = take_all();
  EXPECT_EQ(all.size(), kSlabs * kPerSlab);
  std::set<std::byte*> distinct(all.begin(), all.end());
  EXPECT_EQ(distinct.size(), all.size());
  for (std::byte* buffer : all) EXPECT_EQ(static_cast<std::size_t>(buffer - memory_.base()) % kBytes, 0U);
  EXPECT_TRUE(take(1).empty());
  expect_counts(kSlabs * kPerSlab, 0);
  EXPECT_EQ(depot_.record().high_water.load(), kSlabs * kPerSlab);
}

TEST_F(DepotTest, WhatIsGivenBackIsTakenAgain) {
  const std::vector<std::byte*> all = take_all();
  depot_.give(std::span(all).first(3));
  expect_counts(kSlabs * kPerSlab, 3);
  const std::vector<std::byte*> again = take(100);
  EXPECT_EQ(std::set(again.begin(), again.end()), std::set(all.begin(), all.begin() + 3));
  EXPECT_EQ(depot_.record().high_water.load(), kSlabs * kPerSlab) << "the mark stays";
}

TEST_F(DepotTest, AnotherClassMayHaveTheLastSlab) {
  for (std::size_t i = 0; i < kSlabs; ++i) ASSERT_NE(blocks_.take(0), kNoChunk);
  EXPECT_TRUE(take(1).empty());
  blocks_.give(2, 0);
  EXPECT_EQ(take(1).size(), 1U);
}

TEST_F(DepotTest, NobodyWaitsWhileThereIsABuffer) {
  Bell bell;
  EXPECT_FALSE(depot_.enqueue_waiter(bell)) << "there are slabs to cut";
  EXPECT_FALSE(bell.waiting);
  expect_counts(kPerSlab, kPerSlab);
}

TEST_F(DepotTest, WakesInTheOrderOfWaiting) {
  const std::vector<std::byte*> all = take_all();
  std::array<Bell, 3> bells;
  for (Bell& bell : bells) ASSERT_TRUE(depot_.enqueue_waiter(bell));
  ASSERT_TRUE(depot_.enqueue_waiter(bells[0])) << "to wait twice is to wait once";
  for (std::size_t i = 0; i < bells.size(); ++i) {
    depot_.give({&all[i], 1});
    for (std::size_t j = 0; j < bells.size(); ++j) EXPECT_EQ(bells[j].rang(), i == j) << i << " " << j;
    EXPECT_FALSE(bells[i].waiting);
  }
  depot_.give({&all[3], 1});
  for (Bell& bell : bells) EXPECT_FALSE(bell.rang()) << "rung once";
}

TEST_F(DepotTest, ManyBuffersWakeAsManyWaiters) {
  const std::vector<std::byte*> all = take_all();
  std::array<Bell, 3> bells;
  for (Bell& bell : bells) ASSERT_TRUE(depot_.enqueue_waiter(bell));
  depot_.give(std::span(all).first(2));
  EXPECT_TRUE(bells[0].rang());
  EXPECT_TRUE(bells[1].rang());
  EXPECT_FALSE(bells[2].rang());
  depot_.give(std::span(all).subspan(2, 5));
  EXPECT_TRUE(bells[2].rang());
}

TEST_F(DepotTest, WhoStopsWaitingIsNotWoken) {
  const std::vector<std::byte*> all = take_all();
  std::array<Bell, 2> bells;
  for (Bell& bell : bells) ASSERT_TRUE(depot_.enqueue_waiter(bell));
  depot_.remove_waiter(bells[0]);
  depot_.remove_waiter(bells[0]);
  depot_.give({all.data(), 1});
  EXPECT_FALSE(bells[0].rang());
  EXPECT_TRUE(bells[1].rang());
}

/// Magazines of the calling thread: the bypass under shortage.
TEST_F(DepotTest, DropsGoToTheWaiterAndNotToTheMagazine) {
  const std::vector<std::byte*> all = take_all_but_ask_no_more();
  Magazine* magazine = own_magazine(depot_);
  ASSERT_NE(magazine, nullptr);
  drop(all[0]);
  EXPECT_EQ(magazine->count(), 1U);
  EXPECT_EQ(home(), 0U);
  Bell bell;
  ASSERT_TRUE(depot_.enqueue_waiter(bell));
  drop(all[1]);
  EXPECT_TRUE(bell.rang());
  EXPECT_GE(home(), 1U) << "what rang the bell can be taken";
  const std::uint64_t before = magazine->count();
  drop(all[2]);
  EXPECT_EQ(magazine->count(), before + 1) << "nobody waits any more";
}

TEST_F(DepotTest, WhoIsWokenAndLeavesWakesTheNext) {
  const std::vector<std::byte*> all = take_all();
  std::array<Bell, 2> bells;
  for (Bell& bell : bells) ASSERT_TRUE(depot_.enqueue_waiter(bell));
  depot_.give({all.data(), 1});
  ASSERT_TRUE(bells[0].rang());
  ASSERT_FALSE(bells[1].rang());
  depot_.remove_waiter(bells[0]);
  EXPECT_TRUE(bells[1].rang());
}

TEST_F(DepotTest, ASlabThatAnotherCutsIsSharedWithWhoWaits) {
  for (std::uint32_t i = 0; i < kSlabs; ++i) ASSERT_NE(blocks_.take(0), kNoChunk);
  Bell bell;
  ASSERT_TRUE(depot_.enqueue_waiter(bell));
  blocks_.give(2, 0);  // for the waiter, but a lend comes first
  EXPECT_EQ(take(1).size(), 1U);
  EXPECT_TRUE(bell.rang());
}

TEST_F(DepotTest, WhileItIsTightMagazinesKeepNothing) {
  const std::vector<std::byte*> all = take_all();
  Magazine* magazine = own_magazine(depot_);
  ASSERT_NE(magazine, nullptr);
  drop(all[0]);
  EXPECT_EQ(magazine->count(), 0U);
  EXPECT_EQ(home(), 1U) << "the next to ask is another thread, maybe";
  drop(all[1]);
  EXPECT_EQ(home(), 2U);
  drop(all[2]);
  EXPECT_EQ(magazine->count(), 1U) << "more than a sixteenth is free again";
}

TEST_F(DepotTest, AThreadThatOnlyDropsBringsAllThatItHas) {
  const std::vector<std::byte*> all = take_all_but_ask_no_more();
  Magazine* magazine = own_magazine(depot_);
  ASSERT_NE(magazine, nullptr);
  for (std::uint32_t i = 0; i < kMagazine; ++i) drop(all[i]);
  EXPECT_EQ(magazine->count(), kMagazine);
  drop(all[kMagazine]);
  EXPECT_EQ(magazine->count(), 1U);
  EXPECT_EQ(home(), kMagazine);
  depot_.empty(*magazine);
  EXPECT_EQ(home(), kMagazine + 1U);
}

TEST_F(DepotTest, AThreadThatOnlyLendsTakesAllThatItMayKeep) {
  depot_.give(take_all_but_ask_no_more());
  Magazine* magazine = own_magazine(depot_);
  ASSERT_NE(magazine, nullptr);
  ASSERT_TRUE(depot_.refill(*magazine));
  EXPECT_EQ(magazine->count(), kMagazine / 2);
  std::vector<std::byte*> lent;
  while (magazine->count() > 0) lent.push_back(magazine->pop());
  ASSERT_TRUE(depot_.refill(*magazine));
  EXPECT_EQ(magazine->count(), kMagazine);
  for (std::byte* buffer : lent) drop(buffer);
}

TEST_F(DepotTest, AThreadThatDoesBothStaysHalfway) {
  const std::vector<std::byte*> all = take_all_but_ask_no_more();
  depot_.give(std::span(all).first(kPerSlab));
  Magazine* magazine = own_magazine(depot_);
  ASSERT_NE(magazine, nullptr);
  ASSERT_TRUE(depot_.refill(*magazine));
  std::byte* const lent = magazine->pop();
  for (std::uint32_t i = kPerSlab; magazine->count() < kMagazine; ++i) drop(all[i]);
  drop(lent);
  EXPECT_EQ(magazine->count(), kMagazine / 2 + 1) << "full: half of it went home";
  std::vector<std::byte*> again;
  while (magazine->count() > 0) again.push_back(magazine->pop());
  ASSERT_TRUE(depot_.refill(*magazine));
  EXPECT_EQ(magazine->count(), kMagazine / 2) << "empty: half of what it may keep came";
  for (std::byte* buffer : again) drop(buffer);
}

TEST_F(DepotTest, AThreadThatEndsLeavesNothingInItsMagazine) {
  const std::vector<std::byte*> all = take_all();
  const std::uint64_t before = depot_.record().drops;  // of depots before it
  std::thread([&] { drop(all[0]); }).join();
  EXPECT_EQ(home(), 1U);
  EXPECT_TRUE(depot_.magazines().empty());
  EXPECT_EQ(depot_.record().drops.load(), before + 1);
}

TEST_F(DepotTest, ThreadsTakeAndGiveAtOnce) {
  std::array<std::atomic<bool>, kSlabs * kPerSlab> taken{};
  std::atomic<std::uint64_t> faults{0};
  const auto flag = [&](std::byte * buffer) -> auto& {
    return taken.at(static_cast<std::size_t>(buffer - memory_.base()) / kBytes);
  };
  const auto work = [&] {
    std::array<std::byte*, 3> mine{};
    for (int i = 0; i < 20'000; ++i) {
      const std::span some = std::span(mine).first(depot_.take(mine));
      for (std::byte* buffer : some) faults += flag(buffer).exchange(true);
      for (std::byte* buffer : some) faults += !flag(buffer).exchange(false);
      depot_.give(some);
      if (i % 64 == 0) depot_.give_back_slabs();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, 0U);
  const std::uint64_t capacity = depot_.record().capacity;
  expect_counts(capacity, capacity);
  EXPECT_EQ(blocks_.free_bytes() + (capacity / kPerSlab * kSlab), kSlabs * kSlab);
  depot_.give_back_slabs();
  EXPECT_EQ(blocks_.free_bytes(), kSlabs * kSlab);
}

}  // namespace
}  // namespace weir::detail
