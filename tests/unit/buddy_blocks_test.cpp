#include "memory/buddy_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "granules.h"
#include "memory/slab_source.h"

namespace weir::detail {
namespace {

constexpr std::size_t kPage = 4096;
constexpr unsigned kLargest = 5;  // the order of 2 MiB
constexpr std::uint32_t kGranules = 4;

/// Four granules, which is one block of 256 KiB.
class NodeStockTest : public ::testing::Test {
 protected:
  NodeStockTest() { stock_.add_memory(memory_.base(), kGranules * kGranule); }

  bool inside(const std::byte* where, std::size_t bytes) const {
    return where >= memory_.base() && where + bytes <= memory_.base() + kGranules * kGranule;
  }
  std::vector<std::uint32_t> take_all(unsigned order) {
    std::vector<std::uint32_t> taken;
    for (std::uint32_t at = stock_.take(order); at != kNoGranule; at = stock_.take(order)) taken.push_back(at);
    return taken;
  }

  testing::Granules memory_{32};
  NodeStock stock_{memory_.map};
};

TEST_F(NodeStockTest, GivesEachGranuleOnce) {
  const std::vector<std::uint32_t> taken = take_all(0);
  EXPECT_EQ(std::set(taken.begin(), taken.end()), (std::set<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(taken.size(), 4U);
  EXPECT_EQ(stock_.free_bytes(), 0U);
  for (const std::uint32_t granule : taken) stock_.give(granule, 0);
  EXPECT_EQ(stock_.free_bytes(), kGranules * kGranule);
  EXPECT_EQ(take_all(0).size(), 4U);
}

TEST_F(NodeStockTest, HasNothingBeforeMemoryIsAdded) {
  testing::Granules more(32);
  NodeStock empty(more.map);
  for (unsigned order = 0; order <= kLargest; ++order) EXPECT_EQ(empty.take(order), kNoGranule);
  EXPECT_EQ(empty.take_pages(1), nullptr);
  EXPECT_EQ(empty.free_bytes(), 0U);
}

TEST_F(NodeStockTest, ALargeBlockIsHalvedAndJoinedAgain) {
  const std::uint32_t one = stock_.take(0);
  EXPECT_EQ(stock_.take(2), kNoGranule) << "a quarter of it is taken";
  const std::uint32_t two = stock_.take(1);
  ASSERT_NE(two, kNoGranule);
  EXPECT_EQ(two % 2, 0U);
  EXPECT_EQ(stock_.take(1), kNoGranule);
  stock_.give(two, 1);
  EXPECT_EQ(stock_.take(2), kNoGranule);
  stock_.give(one, 0);
  EXPECT_EQ(stock_.take(2), 0U);
  EXPECT_EQ(stock_.take(0), kNoGranule);
}

TEST_F(NodeStockTest, NeighboursOfDifferentPairsDoNotJoin) {
  const std::vector<std::uint32_t> taken = take_all(0);
  stock_.give(1, 0);
  stock_.give(2, 0);
  EXPECT_EQ(stock_.take(1), kNoGranule) << "1 and 2 are no pair";
  stock_.give(3, 0);
  EXPECT_EQ(stock_.take(1), 2U);
}

TEST_F(NodeStockTest, AnArenaThatIsNoPowerOfTwoIsUsedWhole) {
  testing::Granules more(64);
  for (std::uint32_t count = 1; count <= 64; ++count) {
    NodeStock stock(more.map);
    stock.add_memory(more.base(), count * kGranule);
    EXPECT_EQ(stock.free_bytes(), count * kGranule);
    std::uint32_t taken = 0;
    for (unsigned order = kLargest + 1; order-- > 0;) {
      while (stock.take(order) != kNoGranule) taken += 1U << order;
    }
    EXPECT_EQ(taken, count);
  }
}

TEST_F(NodeStockTest, MemoryIsRemovedOnlyWhole) {
  const std::uint32_t one = stock_.take(0);
  EXPECT_FALSE(stock_.remove_memory(memory_.base(), kGranules * kGranule));
  EXPECT_EQ(stock_.free_bytes(), 3 * kGranule) << "a refusal changes nothing";
  std::byte* const page = stock_.take_pages(1);
  stock_.give(one, 0);
  EXPECT_FALSE(stock_.remove_memory(memory_.base(), kGranules * kGranule)) << "a page is in use";
  stock_.give_pages(page, 1);
  EXPECT_TRUE(stock_.remove_memory(memory_.base(), kGranules * kGranule));
  EXPECT_EQ(stock_.free_bytes(), 0U);
  EXPECT_EQ(stock_.take(0), kNoGranule);
  stock_.add_memory(memory_.base(), kGranules * kGranule);
  EXPECT_EQ(stock_.take(2), 0U);
}

TEST_F(NodeStockTest, RemovingOneArenaLeavesItsNeighbours) {
  testing::Granules more(96);
  NodeStock stock(more.map);
  for (std::size_t i = 0; i < 3; ++i) stock.add_memory(more.map.address(static_cast<std::uint32_t>(i * 32)), kMostSlab);
  EXPECT_TRUE(stock.remove_memory(more.map.address(32), kMostSlab));
  std::set<std::uint32_t> left;
  for (std::uint32_t at = stock.take(0); at != kNoGranule; at = stock.take(0)) left.insert(at);
  EXPECT_EQ(left.size(), 64U);
  for (std::uint32_t granule = 32; granule < 64; ++granule) EXPECT_FALSE(left.contains(granule)) << granule;
}

TEST_F(NodeStockTest, PagesAreAlignedAndDoNotOverlap) {
  std::set<std::byte*> pages;
  for (const std::size_t bytes : {std::size_t{16}, kPage, kPage + 1, 3 * kPage, std::size_t{1}}) {
    std::byte* got = stock_.take_pages(bytes);
    ASSERT_NE(got, nullptr);
    for (std::size_t at = 0; at < bytes; at += kPage) EXPECT_TRUE(pages.insert(got + at).second) << "taken twice";
  }
  for (std::byte* page : pages) {
    EXPECT_TRUE(inside(page, kPage));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page) % kPage, 0U);
  }
}

TEST_F(NodeStockTest, PagesOfOneGranuleAreSharedBeforeAnotherIsTaken) {
  for (std::size_t i = 0; i < kGranule / kPage; ++i) ASSERT_NE(stock_.take_pages(kPage), nullptr);
  EXPECT_EQ(take_all(0).size(), 3U) << "sixteen pages are one granule of four";
  EXPECT_EQ(stock_.take_pages(kPage), nullptr);
}

TEST_F(NodeStockTest, LargeRunsOfPagesAreBlocks) {
  EXPECT_EQ(stock_.take_pages(kMostSlab + 1), nullptr);
  EXPECT_EQ(stock_.take_pages(4 * kGranule + 1), nullptr);
  for (const std::size_t bytes : {4 * kGranule, 3 * kGranule, 2 * kGranule, kGranule + 1, kGranule, kGranule - 1}) {
    std::byte* const pages = stock_.take_pages(bytes);
    ASSERT_NE(pages, nullptr) << bytes;
    EXPECT_TRUE(inside(pages, bytes));
    stock_.give_pages(pages, bytes);
    EXPECT_EQ(stock_.free_bytes(), 4 * kGranule) << bytes;
  }
  for (int i = 0; i < 4; ++i) EXPECT_NE(stock_.take_pages(kGranule), nullptr);
  EXPECT_EQ(stock_.take_pages(1), nullptr);
}

TEST_F(NodeStockTest, PagesGivenBackAreTakenAgain) {
  std::vector<std::byte*> taken;
  while (std::byte* pages = stock_.take_pages(4 * kPage)) taken.push_back(pages);
  EXPECT_EQ(taken.size(), 4 * kGranule / (4 * kPage));
  stock_.give_pages(taken[5], 4 * kPage);
  EXPECT_EQ(stock_.take_pages(5 * kPage), nullptr) << "a gap of four pages does not hold five";
  EXPECT_EQ(stock_.take_pages(4 * kPage), taken[5]);
}

TEST_F(NodeStockTest, NeighbouringGapsJoin) {
  std::vector<std::byte*> taken;
  while (std::byte* pages = stock_.take_pages(kPage)) taken.push_back(pages);
  stock_.give_pages(taken[3], kPage);
  stock_.give_pages(taken[4], kPage);
  EXPECT_EQ(stock_.take_pages(2 * kPage), taken[3]);
}

/// A slab leaves the bits of its buffers behind it.
TEST_F(NodeStockTest, PagesOfAGranuleThatWasASlabAreAllFree) {
  for (std::uint32_t granule = 0; granule < kGranules; ++granule) *memory_.map.bits(granule) = ~std::uint64_t{0};
  std::vector<std::byte*> taken;
  while (std::byte* pages = stock_.take_pages(kPage)) taken.push_back(pages);
  EXPECT_EQ(taken.size(), kGranules * kGranule / kPage);
  for (std::byte* pages : taken) stock_.give_pages(pages, kPage);
  EXPECT_EQ(stock_.free_bytes(), kGranules * kGranule);
}

constexpr auto kNow = std::chrono::steady_clock::time_point::min();
constexpr std::size_t kNode = 3;
constexpr unsigned kShort = Alarm::short_on(kNode);

TEST_F(NodeStockTest, IsShortWhileABlockIsWantedThatItHasNot) {
  Alarm alarm;
  stock_.watch(alarm, kNode, 0);
  const std::uint32_t two = stock_.take(1);
  const std::uint32_t one = stock_.take(0);
  EXPECT_FALSE(stock_.is_short());
  EXPECT_EQ(alarm.hear(kShort), 0U);
  EXPECT_EQ(stock_.take(1), kNoGranule);
  EXPECT_TRUE(stock_.is_short());
  EXPECT_EQ(alarm.hear(kShort), kShort);
  EXPECT_EQ(alarm.hear(kShort), 0U) << "heard once";
  stock_.give(one, 0);
  EXPECT_FALSE(stock_.is_short()) << "the two are joined";
  EXPECT_EQ(stock_.take(2), kNoGranule);
  EXPECT_TRUE(stock_.is_short());
  stock_.give(two, 1);
  EXPECT_FALSE(stock_.is_short());
}

TEST_F(NodeStockTest, MemoryThatIsTooSmallLeavesItShort) {
  Alarm alarm;
  testing::Granules more(64);
  NodeStock stock(more.map);
  stock.watch(alarm, kNode, 0);
  EXPECT_EQ(stock.take(3), kNoGranule);
  stock.add_memory(more.base(), 4 * kGranule);
  EXPECT_TRUE(stock.is_short());
  stock.add_memory(more.base() + 32 * kGranule, 8 * kGranule);
  EXPECT_FALSE(stock.is_short());
}

TEST_F(NodeStockTest, IsShortBelowItsMark) {
  Alarm alarm;
  stock_.watch(alarm, kNode, 2 * kGranule);
  const std::uint32_t two = stock_.take(1);
  EXPECT_FALSE(stock_.is_short());
  EXPECT_EQ(alarm.hear(kShort), 0U);
  std::byte* const page = stock_.take_pages(kPage);
  EXPECT_TRUE(stock_.is_short());
  EXPECT_EQ(alarm.hear(kShort | Alarm::low_water), kShort | Alarm::low_water);
  stock_.give_pages(page, kPage);
  EXPECT_FALSE(stock_.is_short());
  stock_.give(two, 1);
}

TEST_F(NodeStockTest, MemoryIsUntouchedBetweenTwoLooks) {
  const auto look = [&] { return stock_.untouched(memory_.base(), kGranules * kGranule); };
  EXPECT_FALSE(look()) << "the first";
  EXPECT_TRUE(look());
  EXPECT_TRUE(look());
  const std::uint32_t taken = stock_.take(0);
  EXPECT_FALSE(look());
  EXPECT_FALSE(look());
  stock_.give(taken, 0);
  EXPECT_FALSE(look());
  EXPECT_TRUE(look());
  stock_.give(stock_.take(2), 2);
  EXPECT_FALSE(look()) << "all of it was used meanwhile";
  EXPECT_TRUE(look());
  stock_.give(stock_.take(0), 0);
  EXPECT_FALSE(look()) << "a part of it was";
}

TEST(AlarmTest, WakesForWhatIsWaitedForAndNothingElse) {
  Alarm alarm;
  alarm.raise(Alarm::exhausted);
  alarm.wait(kShort, kNow);
  EXPECT_EQ(alarm.hear(kShort), 0U);
  std::thread([&] { alarm.raise(kShort); }).join();
  alarm.wait(kShort, std::chrono::steady_clock::now() + std::chrono::hours(1));
  EXPECT_EQ(alarm.hear(kShort | Alarm::exhausted), kShort | Alarm::exhausted);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    alarm.raise(Alarm::ending);
  });
  alarm.wait(Alarm::ending, std::chrono::steady_clock::now() + std::chrono::hours(1));
  later.join();
  EXPECT_EQ(alarm.hear(Alarm::ending), unsigned{Alarm::ending});
}

TEST(SlabSourceTest, TakesInTurnAndNoMoreThanItMay) {
  testing::Granules memory(128);
  NodeStock near(memory.map, 0, 64);
  NodeStock far(memory.map, 64, 128);
  near.add_memory(memory.base(), 2 * kGranule);
  far.add_memory(memory.base() + 64 * kGranule, 4 * kGranule);
  SlabSource source({&near, &far}, 5 * kGranule);
  std::vector<std::uint32_t> taken;
  for (int i = 0; i < 5; ++i) taken.push_back(source.take(0));
  EXPECT_EQ(std::count_if(taken.begin(), taken.end(), [](auto granule) { return granule < 64; }), 2);
  for (const unsigned i : {0U, 2U}) EXPECT_LT(taken[i], 64U);
  for (const unsigned i : {1U, 3U, 4U}) EXPECT_GE(taken[i], 64U) << "the other has none any more";
  EXPECT_EQ(std::count(taken.begin(), taken.end(), kNoGranule), 0);
  EXPECT_EQ(source.take(0), kNoGranule) << "there is one, but it may not have it";
  EXPECT_EQ(far.free_bytes(), kGranule);
  source.give(taken[0], 0);
  EXPECT_EQ(near.free_bytes(), kGranule) << "it went where it came from";
  EXPECT_NE(source.take(0), kNoGranule);
}

}  // namespace
}  // namespace weir::detail
