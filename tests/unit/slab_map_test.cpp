#include "memory/slab_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <string>
#include <vector>

#include "chunks.h"
#include "seed.h"

namespace weir::detail {
namespace {

using testing::Chunks;

TEST(SlabMap, KnowsTheChunkOfEachAddress) {
  const Chunks chunks(64);
  const SlabMap& map = chunks.map;
  EXPECT_EQ(map.chunks(), 64U);
  for (std::uint32_t chunk = 0; chunk < map.chunks(); ++chunk) {
    const std::byte* start = chunks.base() + chunk * kChunkBytes;
    EXPECT_EQ(map.address(chunk), start);
    EXPECT_EQ(map.chunk_of(start), chunk);
    EXPECT_EQ(map.chunk_of(start + kChunkBytes - 1), chunk);
  }
}

TEST(SlabMap, ContainsItsMemoryAndNothingElse) {
  const Chunks chunks(32);
  const SlabMap& map = chunks.map;
  EXPECT_TRUE(map.contains(chunks.base()));
  EXPECT_TRUE(map.contains(chunks.base() + chunks.bytes() - 1));
  EXPECT_FALSE(map.contains(chunks.base() - 1));
  EXPECT_FALSE(map.contains(chunks.base() + chunks.bytes()));
  EXPECT_FALSE(map.contains(nullptr));
}

TEST(SlabMap, FindsTheStartOfASlabFromAnyByteOfIt) {
  Chunks chunks(64);
  for (unsigned order = 0; order <= 5; ++order) {
    const std::uint32_t start = 32;
    for (std::uint32_t i = 0; i < 1U << order; ++i) chunks.map[start + i].order = static_cast<std::uint8_t>(order);
    const std::byte* first = chunks.map.address(start);
    const std::size_t bytes = kChunkBytes << order;
    for (std::size_t at = 0; at < bytes; at += kChunkBytes / 2) EXPECT_EQ(chunks.map.start_of(first + at), start);
    EXPECT_EQ(chunks.map.start_of(first + bytes - 1), start);
  }
}

TEST(SlabMap, EachChunkHasABitForEachOfItsLines) {
  Chunks chunks(32);
  for (std::uint32_t chunk = 0; chunk < 32; ++chunk) {
    std::fill_n(chunks.map.bits(chunk), kChunkBytes / 64 / 64, std::uint64_t{chunk} + 1);
    chunks.map[chunk].free_count = chunk + 100;
  }
  for (std::uint32_t chunk = 0; chunk < 32; ++chunk) {
    const std::uint64_t* bits = chunks.map.bits(chunk);
    EXPECT_TRUE(std::all_of(bits, bits + kChunkBytes / 64 / 64, [&](auto word) { return word == chunk + 1; }));
    EXPECT_EQ(chunks.map[chunk].free_count, chunk + 100) << "bits and records share memory";
  }
}

TEST(SlabMap, StartsWithNothingKnown) {
  Chunks chunks(32);
  for (std::uint32_t chunk = 0; chunk < chunks.map.chunks(); ++chunk) {
    EXPECT_EQ(chunks.map[chunk].state, Slab::State::none);
    EXPECT_EQ(*chunks.map.bits(chunk), 0U);
  }
}

class SlabListTest : public ::testing::Test {
 protected:
  std::vector<std::uint32_t> walk(const SlabList& list) {
    std::vector<std::uint32_t> found;
    for (std::uint32_t at = list.front(); at != kNoChunk && found.size() < 1000; at = chunks_.map[at].next)
      found.push_back(at);
    return found;
  }
  Chunks chunks_{64};
};

TEST_F(SlabListTest, TheLastPushedIsInFront) {
  SlabList list(chunks_.map);
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), kNoChunk);
  for (const std::uint32_t chunk : {0U, 7U, 3U}) list.push(chunk);
  EXPECT_FALSE(list.empty());
  EXPECT_EQ(walk(list), (std::vector<std::uint32_t>{3, 7, 0}));
}

TEST_F(SlabListTest, AnyOneCanBeRemoved) {
  for (const std::uint32_t gone : {1U, 2U, 3U}) {
    SlabList list(chunks_.map);
    for (const std::uint32_t chunk : {1U, 2U, 3U}) list.push(chunk);
    list.remove(gone);
    std::vector<std::uint32_t> left{3, 2, 1};
    std::erase(left, gone);
    EXPECT_EQ(walk(list), left);
    for (const std::uint32_t chunk : left) list.remove(chunk);
    EXPECT_TRUE(list.empty());
  }
}

TEST_F(SlabListTest, ListsOfOneMapAreApart) {
  const std::uint64_t first = testing::seed();
  std::mt19937_64 random(first);
  SlabList one(chunks_.map);
  SlabList two(chunks_.map);
  std::list<std::uint32_t> model_one;
  std::list<std::uint32_t> model_two;
  for (int i = 0; i < 20'000; ++i) {
    const auto chunk = static_cast<std::uint32_t>(random() % 64);
    const bool in_one = std::find(model_one.begin(), model_one.end(), chunk) != model_one.end();
    const bool in_two = std::find(model_two.begin(), model_two.end(), chunk) != model_two.end();
    if (in_one || in_two) {
      (in_one ? one : two).remove(chunk);
      (in_one ? model_one : model_two).remove(chunk);
    } else {
      const bool to_one = random() % 2 == 0;
      (to_one ? one : two).push(chunk);
      (to_one ? model_one : model_two).push_front(chunk);
    }
    ASSERT_TRUE(std::ranges::equal(walk(one), model_one)) << "step " << i;
    ASSERT_TRUE(std::ranges::equal(walk(two), model_two)) << "step " << i;
  }
}

}  // namespace
}  // namespace weir::detail
