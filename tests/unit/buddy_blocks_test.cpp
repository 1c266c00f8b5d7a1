#include "memory/buddy_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "chunks.h"
#include "memory/slab_source.h"

namespace weir::detail {
namespace {

constexpr std::size_t kPage = 4096;
constexpr unsigned kLargest = 5;  // the order of 2 MiB
constexpr std::uint32_t kChunks = 4;

/// Four chunks, which is one block of 256 KiB.
class BuddyBlocksTest : public ::testing::Test {
 protected:
  BuddyBlocksTest() { blocks_.add_memory(memory_.base(), kChunks * kChunkBytes); }

  bool inside(const std::byte* where, std::size_t bytes) const {
    return where >= memory_.base() && where + bytes <= memory_.base() + kChunks * kChunkBytes;
  }
  std::vector<std::uint32_t> take_all(unsigned order) {
    std::vector<std::uint32_t> taken;
    for (std::uint32_t at = blocks_.take(order); at != kNoChunk; at = blocks_.take(order)) taken.push_back(at);
    return taken;
  }

  testing::Chunks memory_{32};
  BuddyBlocks blocks_{memory_.map};
};

TEST_F(BuddyBlocksTest, GivesEachChunkOnce) {
  const std::vector<std::uint32_t> taken = take_all(0);
  EXPECT_EQ(std::set(taken.begin(), taken.end()), (std::set<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(taken.size(), 4U);
  EXPECT_EQ(blocks_.free_bytes(), 0U);
  for (const std::uint32_t chunk : taken) blocks_.give(chunk, 0);
  EXPECT_EQ(blocks_.free_bytes(), kChunks * kChunkBytes);
  EXPECT_EQ(take_all(0).size(), 4U);
}

TEST_F(BuddyBlocksTest, HasNothingBeforeMemoryIsAdded) {
  testing::Chunks more(32);
  BuddyBlocks empty(more.map);
  for (unsigned order = 0; order <= kLargest; ++order) EXPECT_EQ(empty.take(order), kNoChunk);
  EXPECT_EQ(empty.take_pages(1), nullptr);
  EXPECT_EQ(empty.free_bytes(), 0U);
}

TEST_F(BuddyBlocksTest, ALargeBlockIsHalvedAndJoinedAgain) {
  const std::uint32_t one = blocks_.take(0);
  EXPECT_EQ(blocks_.take(2), kNoChunk) << "a quarter of it is taken";
  const std::uint32_t two = blocks_.take(1);
  ASSERT_NE(two, kNoChunk);
  EXPECT_EQ(two % 2, 0U);
  EXPECT_EQ(blocks_.take(1), kNoChunk);
  blocks_.give(two, 1);
  EXPECT_EQ(blocks_.take(2), kNoChunk);
  blocks_.give(one, 0);
  EXPECT_EQ(blocks_.take(2), 0U);
  EXPECT_EQ(blocks_.take(0), kNoChunk);
}

TEST_F(BuddyBlocksTest, NeighboursOfDifferentPairsDoNotJoin) {
  const std::vector<std::uint32_t> taken = take_all(0);
  blocks_.give(1, 0);
  blocks_.give(2, 0);
  EXPECT_EQ(blocks_.take(1), kNoChunk) << "1 and 2 are no pair";
  blocks_.give(3, 0);
  EXPECT_EQ(blocks_.take(1), 2U);
}

TEST_F(BuddyBlocksTest, AnArenaThatIsNoPowerOfTwoIsUsedWhole) {
  testing::Chunks more(64);
  for (std::uint32_t count = 1; count <= 64; ++count) {
    BuddyBlocks blocks(more.map);
    blocks.add_memory(more.base(), count * kChunkBytes);
    EXPECT_EQ(blocks.free_bytes(), count * kChunkBytes);
    std::uint32_t taken = 0;
    for (unsigned order = kLargest + 1; order-- > 0;) {
      while (blocks.take(order) != kNoChunk) taken += 1U << order;
    }
    EXPECT_EQ(taken, count);
  }
}

TEST_F(BuddyBlocksTest, MemoryIsRemovedOnlyWhole) {
  const std::uint32_t one = blocks_.take(0);
  EXPECT_FALSE(blocks_.remove_memory(memory_.base(), kChunks * kChunkBytes));
  EXPECT_EQ(blocks_.free_bytes(), 3 * kChunkBytes) << "a refusal changes nothing";
  std::byte* const page = blocks_.take_pages(1);
  blocks_.give(one, 0);
  EXPECT_FALSE(blocks_.remove_memory(memory_.base(), kChunks * kChunkBytes)) << "a page is in use";
  blocks_.give_pages(page, 1);
  EXPECT_TRUE(blocks_.remove_memory(memory_.base(), kChunks * kChunkBytes));
  EXPECT_EQ(blocks_.free_bytes(), 0U);
  EXPECT_EQ(blocks_.take(0), kNoChunk);
  blocks_.add_memory(memory_.base(), kChunks * kChunkBytes);
  EXPECT_EQ(blocks_.take(2), 0U);
}

TEST_F(BuddyBlocksTest, RemovingOneArenaLeavesItsNeighbours) {
  testing::Chunks more(96);
  BuddyBlocks blocks(more.map);
  for (std::size_t i = 0; i < 3; ++i)
    blocks.add_memory(more.map.address(static_cast<std::uint32_t>(i * 32)), kMostSlab);
  EXPECT_TRUE(blocks.remove_memory(more.map.address(32), kMostSlab));
  std::set<std::uint32_t> left;
  for (std::uint32_t at = blocks.take(0); at != kNoChunk; at = blocks.take(0)) left.insert(at);
  EXPECT_EQ(left.size(), 64U);
  for (std::uint32_t chunk = 32; chunk < 64; ++chunk) EXPECT_FALSE(left.contains(chunk)) << chunk;
}

TEST_F(BuddyBlocksTest, PagesAreAlignedAndDoNotOverlap) {
  std::set<std::byte*> pages;
  for (const std::size_t bytes : {std::size_t{16}, kPage, kPage + 1, 3 * kPage, std::size_t{1}}) {
    std::byte* got = blocks_.take_pages(bytes);
    ASSERT_NE(got, nullptr);
    for (std::size_t at = 0; at < bytes; at += kPage) EXPECT_TRUE(pages.insert(got + at).second) << "taken twice";
  }
  for (std::byte* page : pages) {
    EXPECT_TRUE(inside(page, kPage));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page) % kPage, 0U);
  }
}

TEST_F(BuddyBlocksTest, PagesOfOneChunkAreSharedBeforeAnotherIsTaken) {
  for (std::size_t i = 0; i < kChunkBytes / kPage; ++i) ASSERT_NE(blocks_.take_pages(kPage), nullptr);
  EXPECT_EQ(take_all(0).size(), 3U) << "sixteen pages are one chunk of four";
  EXPECT_EQ(blocks_.take_pages(kPage), nullptr);
}

TEST_F(BuddyBlocksTest, LargeRunsOfPagesAreBlocks) {
  EXPECT_EQ(blocks_.take_pages(kMostSlab + 1), nullptr);
  EXPECT_EQ(blocks_.take_pages(4 * kChunkBytes + 1), nullptr);
  for (const std::size_t bytes :
       {4 * kChunkBytes, 3 * kChunkBytes, 2 * kChunkBytes, kChunkBytes + 1, kChunkBytes, kChunkBytes - 1}) {
    std::byte* const pages = blocks_.take_pages(bytes);
    ASSERT_NE(pages, nullptr) << bytes;
    EXPECT_TRUE(inside(pages, bytes));
    blocks_.give_pages(pages, bytes);
    EXPECT_EQ(blocks_.free_bytes(), 4 * kChunkBytes) << bytes;
  }
  for (int i = 0; i < 4; ++i) EXPECT_NE(blocks_.take_pages(kChunkBytes), nullptr);
  EXPECT_EQ(blocks_.take_pages(1), nullptr);
}

TEST_F(BuddyBlocksTest, PagesGivenBackAreTakenAgain) {
  std::vector<std::byte*> taken;
  while (std::byte* pages = blocks_.take_pages(4 * kPage)) taken.push_back(pages);
  EXPECT_EQ(taken.size(), 4 * kChunkBytes / (4 * kPage));
  blocks_.give_pages(taken[5], 4 * kPage);
  EXPECT_EQ(blocks_.take_pages(5 * kPage), nullptr) << "a gap of four pages does not hold five";
  EXPECT_EQ(blocks_.take_pages(4 * kPage), taken[5]);
}

TEST_F(BuddyBlocksTest, NeighbouringGapsJoin) {
  std::vector<std::byte*> taken;
  while (std::byte* pages = blocks_.take_pages(kPage)) taken.push_back(pages);
  blocks_.give_pages(taken[3], kPage);
  blocks_.give_pages(taken[4], kPage);
  EXPECT_EQ(blocks_.take_pages(2 * kPage), taken[3]);
}

/// A slab leaves the bits of its buffers behind it.
TEST_F(BuddyBlocksTest, PagesOfAChunkThatWasASlabAreAllFree) {
  for (std::uint32_t chunk = 0; chunk < kChunks; ++chunk) *memory_.map.bits(chunk) = ~std::uint64_t{0};
  std::vector<std::byte*> taken;
  while (std::byte* pages = blocks_.take_pages(kPage)) taken.push_back(pages);
  EXPECT_EQ(taken.size(), kChunks * kChunkBytes / kPage);
  for (std::byte* pages : taken) blocks_.give_pages(pages, kPage);
  EXPECT_EQ(blocks_.free_bytes(), kChunks * kChunkBytes);
}

constexpr auto kNow = std::chrono::steady_clock::time_point::min();
constexpr std::size_t kNode = 3;
constexpr unsigned kShort = Alarm::short_on(kNode);

TEST_F(BuddyBlocksTest, IsShortWhileABlockIsWantedThatItHasNot) {
  Alarm alarm;
  blocks_.set_alarm(alarm, kNode, 0);
  const std::uint32_t two = blocks_.take(1);
  const std::uint32_t one = blocks_.take(0);
  EXPECT_FALSE(blocks_.is_short());
  EXPECT_EQ(alarm.hear(kShort), 0U);
  EXPECT_EQ(blocks_.take(1), kNoChunk);
  EXPECT_TRUE(blocks_.is_short());
  EXPECT_EQ(alarm.hear(kShort), kShort);
  EXPECT_EQ(alarm.hear(kShort), 0U) << "heard once";
  blocks_.give(one, 0);
  EXPECT_FALSE(blocks_.is_short()) << "the two are joined";
  EXPECT_EQ(blocks_.take(2), kNoChunk);
  EXPECT_TRUE(blocks_.is_short());
  blocks_.give(two, 1);
  EXPECT_FALSE(blocks_.is_short());
}

TEST_F(BuddyBlocksTest, MemoryThatIsTooSmallLeavesItShort) {
  Alarm alarm;
  testing::Chunks more(64);
  BuddyBlocks blocks(more.map);
  blocks.set_alarm(alarm, kNode, 0);
  EXPECT_EQ(blocks.take(3), kNoChunk);
  blocks.add_memory(more.base(), 4 * kChunkBytes);
  EXPECT_TRUE(blocks.is_short());
  blocks.add_memory(more.base() + 32 * kChunkBytes, 8 * kChunkBytes);
  EXPECT_FALSE(blocks.is_short());
}

TEST_F(BuddyBlocksTest, IsShortBelowItsMark) {
  Alarm alarm;
  blocks_.set_alarm(alarm, kNode, 2 * kChunkBytes);
  const std::uint32_t two = blocks_.take(1);
  EXPECT_FALSE(blocks_.is_short());
  EXPECT_EQ(alarm.hear(kShort), 0U);
  std::byte* const page = blocks_.take_pages(kPage);
  EXPECT_TRUE(blocks_.is_short());
  EXPECT_EQ(alarm.hear(kShort | Alarm::low_water), kShort | Alarm::low_water);
  blocks_.give_pages(page, kPage);
  EXPECT_FALSE(blocks_.is_short());
  blocks_.give(two, 1);
}

TEST_F(BuddyBlocksTest, MemoryIsUntouchedBetweenTwoLooks) {
  const auto look = [&] { return blocks_.untouched(memory_.base(), kChunks * kChunkBytes); };
  EXPECT_FALSE(look()) << "the first";
  EXPECT_TRUE(look());
  EXPECT_TRUE(look());
  const std::uint32_t taken = blocks_.take(0);
  EXPECT_FALSE(look());
  EXPECT_FALSE(look());
  blocks_.give(taken, 0);
  EXPECT_FALSE(look());
  EXPECT_TRUE(look());
  blocks_.give(blocks_.take(2), 2);
  EXPECT_FALSE(look()) << "all of it was used meanwhile";
  EXPECT_TRUE(look());
  blocks_.give(blocks_.take(0), 0);
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
  testing::Chunks memory(128);
  BuddyBlocks near(memory.map, 0, 64);
  BuddyBlocks far(memory.map, 64, 128);
  near.add_memory(memory.base(), 2 * kChunkBytes);
  far.add_memory(memory.base() + 64 * kChunkBytes, 4 * kChunkBytes);
  SlabSource source({&near, &far}, 5 * kChunkBytes);
  std::vector<std::uint32_t> taken;
  for (int i = 0; i < 5; ++i) taken.push_back(source.take(0));
  EXPECT_EQ(std::count_if(taken.begin(), taken.end(), [](auto chunk) { return chunk < 64; }), 2);
  for (const unsigned i : {0U, 2U}) EXPECT_LT(taken[i], 64U);
  for (const unsigned i : {1U, 3U, 4U}) EXPECT_GE(taken[i], 64U) << "the other has none any more";
  EXPECT_EQ(std::count(taken.begin(), taken.end(), kNoChunk), 0);
  EXPECT_EQ(source.take(0), kNoChunk) << "there is one, but it may not have it";
  EXPECT_EQ(far.free_bytes(), kChunkBytes);
  source.give(taken[0], 0);
  EXPECT_EQ(near.free_bytes(), kChunkBytes) << "it went where it came from";
  EXPECT_NE(source.take(0), kNoChunk);
}

}  // namespace
}  // namespace weir::detail
