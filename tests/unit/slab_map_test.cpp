#include "memory/slab_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <string>
#include <vector>

#include "granules.h"
#include "seed.h"

namespace weir::detail {
namespace {

using testing::Granules;

TEST(SlabMap, KnowsTheGranuleOfEachAddress) {
  const Granules granules(64);
  const SlabMap& map = granules.map;
  EXPECT_EQ(map.granules(), 64U);
  for (std::uint32_t granule = 0; granule < map.granules(); ++granule) {
    const std::byte* start = granules.base() + granule * kGranule;
    EXPECT_EQ(map.address(granule), start);
    EXPECT_EQ(map.granule_of(start), granule);
    EXPECT_EQ(map.granule_of(start + kGranule - 1), granule);
  }
}

TEST(SlabMap, ContainsItsMemoryAndNothingElse) {
  const Granules granules(32);
  const SlabMap& map = granules.map;
  EXPECT_TRUE(map.contains(granules.base()));
  EXPECT_TRUE(map.contains(granules.base() + granules.bytes() - 1));
  EXPECT_FALSE(map.contains(granules.base() - 1));
  EXPECT_FALSE(map.contains(granules.base() + granules.bytes()));
  EXPECT_FALSE(map.contains(nullptr));
}

TEST(SlabMap, FindsTheStartOfASlabFromAnyByteOfIt) {
  Granules granules(64);
  for (unsigned order = 0; order <= 5; ++order) {
    const std::uint32_t start = 32;
    for (std::uint32_t i = 0; i < 1U << order; ++i) granules.map[start + i].order = static_cast<std::uint8_t>(order);
    const std::byte* first = granules.map.address(start);
    const std::size_t bytes = kGranule << order;
    for (std::size_t at = 0; at < bytes; at += kGranule / 2) EXPECT_EQ(granules.map.start_of(first + at), start);
    EXPECT_EQ(granules.map.start_of(first + bytes - 1), start);
  }
}

TEST(SlabMap, EachGranuleHasABitForEachOfItsLines) {
  Granules granules(32);
  for (std::uint32_t granule = 0; granule < 32; ++granule) {
    std::fill_n(granules.map.bits(granule), kGranule / 64 / 64, std::uint64_t{granule} + 1);
    granules.map[granule].free_count = granule + 100;
  }
  for (std::uint32_t granule = 0; granule < 32; ++granule) {
    const std::uint64_t* bits = granules.map.bits(granule);
    EXPECT_TRUE(std::all_of(bits, bits + kGranule / 64 / 64, [&](auto word) { return word == granule + 1; }));
    EXPECT_EQ(granules.map[granule].free_count, granule + 100) << "bits and records share memory";
  }
}

TEST(SlabMap, StartsWithNothingKnown) {
  Granules granules(32);
  for (std::uint32_t granule = 0; granule < granules.map.granules(); ++granule) {
    EXPECT_EQ(granules.map[granule].state, Slab::State::none);
    EXPECT_EQ(*granules.map.bits(granule), 0U);
  }
}

class SlabListTest : public ::testing::Test {
 protected:
  std::vector<std::uint32_t> walk(const SlabList& list) {
    std::vector<std::uint32_t> found;
    for (std::uint32_t at = list.front(); at != kNoGranule && found.size() < 1000; at = granules_.map[at].next)
      found.push_back(at);
    return found;
  }
  Granules granules_{64};
};

TEST_F(SlabListTest, TheLastPushedIsInFront) {
  SlabList list(granules_.map);
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), kNoGranule);
  for (const std::uint32_t granule : {0U, 7U, 3U}) list.push(granule);
  EXPECT_FALSE(list.empty());
  EXPECT_EQ(walk(list), (std::vector<std::uint32_t>{3, 7, 0}));
}

TEST_F(SlabListTest, AnyOneCanBeRemoved) {
  for (const std::uint32_t gone : {1U, 2U, 3U}) {
    SlabList list(granules_.map);
    for (const std::uint32_t granule : {1U, 2U, 3U}) list.push(granule);
    list.remove(gone);
    std::vector<std::uint32_t> left{3, 2, 1};
    std::erase(left, gone);
    EXPECT_EQ(walk(list), left);
    for (const std::uint32_t granule : left) list.remove(granule);
    EXPECT_TRUE(list.empty());
  }
}

TEST_F(SlabListTest, ListsOfOneMapAreApart) {
  const std::uint64_t first = testing::seed();
  std::mt19937_64 random(first);
  SlabList one(granules_.map);
  SlabList two(granules_.map);
  std::list<std::uint32_t> model_one;
  std::list<std::uint32_t> model_two;
  for (int i = 0; i < 20'000; ++i) {
    const auto granule = static_cast<std::uint32_t>(random() % 64);
    const bool in_one = std::find(model_one.begin(), model_one.end(), granule) != model_one.end();
    const bool in_two = std::find(model_two.begin(), model_two.end(), granule) != model_two.end();
    if (in_one || in_two) {
      (in_one ? one : two).remove(granule);
      (in_one ? model_one : model_two).remove(granule);
    } else {
      const bool to_one = random() % 2 == 0;
      (to_one ? one : two).push(granule);
      (to_one ? model_one : model_two).push_front(granule);
    }
    ASSERT_TRUE(std::ranges::equal(walk(one), model_one)) << "step " << i;
    ASSERT_TRUE(std::ranges::equal(walk(two), model_two)) << "step " << i;
  }
}

}  // namespace
}  // namespace weir::detail
