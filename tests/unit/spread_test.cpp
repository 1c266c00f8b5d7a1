#include "memory/spread.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "memory/slab_map.h"

namespace weir::detail {
namespace {

constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kAny = std::size_t{1} << 40;
using Sizes = std::vector<std::size_t>;

std::size_t sum(const Sizes& sizes) { return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}); }

TEST(Spread, IsEven) {
  EXPECT_EQ(spread(4 * kMiB, {kAny}, kAny), (Sizes{4 * kMiB}));
  EXPECT_EQ(spread(8 * kMiB, {kAny, kAny}, kAny), (Sizes{4 * kMiB, 4 * kMiB}));
  EXPECT_EQ(spread(kMiB, {kAny, kAny, kAny, kAny}, kAny), (Sizes{kMiB / 4, kMiB / 4, kMiB / 4, kMiB / 4}));
}

TEST(Spread, RoundsUpToHugePagesWhereThereIsRoom) {
  EXPECT_EQ(spread(3 * kMiB, {kAny}, kAny), (Sizes{4 * kMiB}));
  EXPECT_EQ(spread(3 * kMiB, {3 * kMiB}, kAny), (Sizes{3 * kMiB}));
  EXPECT_EQ(spread(3 * kMiB, {kAny}, 3 * kMiB), (Sizes{3 * kMiB}));
  EXPECT_EQ(spread(6 * kMiB, {kAny, kAny}, 6 * kMiB), (Sizes{4 * kMiB, 2 * kMiB}));
}

TEST(Spread, RoundsUpToChunks) {
  EXPECT_EQ(spread(1, {kAny}, kAny), (Sizes{kChunkBytes}));
  EXPECT_EQ(spread(kChunkBytes + 1, {kAny}, kAny), (Sizes{2 * kChunkBytes}));
  EXPECT_EQ(spread(kChunkBytes, {kAny, kAny, kAny}, kAny), (Sizes{kChunkBytes, 0, 0}));
}

TEST(Spread, GivesEachNodeTheLeastWhereThereIsRoom) {
  EXPECT_EQ(spread(1, {kAny, kAny}, kAny, 2 * kMiB), (Sizes{2 * kMiB, 2 * kMiB}));
  EXPECT_EQ(spread(3 * kMiB, {kAny, kAny}, kAny, 2 * kMiB), (Sizes{2 * kMiB, 2 * kMiB}));
  EXPECT_EQ(spread(1, {0, kAny, kMiB}, kAny, 2 * kMiB), (Sizes{0, 2 * kMiB, kMiB}));
}

TEST(Spread, ANodeWithoutRoomLeavesItToTheOthers) {
  EXPECT_EQ(spread(8 * kMiB, {0, kAny}, kAny), (Sizes{0, 8 * kMiB}));
  EXPECT_EQ(spread(8 * kMiB, {kAny, 2 * kMiB}, kAny), (Sizes{6 * kMiB, 2 * kMiB}));
}

TEST(Spread, IsNothingWhereThereIsNoRoom) {
  EXPECT_EQ(spread(1, {0}, kAny), Sizes{});
  EXPECT_EQ(spread(1, {kAny}, 0), Sizes{});
  EXPECT_EQ(spread(8 * kMiB, {4 * kMiB, 2 * kMiB}, kAny), Sizes{});
  EXPECT_EQ(spread(8 * kMiB, {kAny, kAny}, 7 * kMiB), Sizes{});
  EXPECT_EQ(spread(SIZE_MAX, {kAny}, kAny), Sizes{});
}

TEST(Spread, NeverBreaksALimitAndRefusesNothingThatFits) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    Sizes rooms(1 + random() % 8);
    for (std::size_t& room : rooms) room = random() % 200 * kChunkBytes;
    const std::size_t total = random() % 800 * kChunkBytes;
    const std::size_t bytes = 1 + random() % (400 * kChunkBytes);
    const Sizes shares = spread(bytes, rooms, total, random() % 2 == 0 ? kChunkBytes : 2 * kMiB);
    ASSERT_EQ(shares.empty(), bytes > std::min(total, sum(rooms)));
    if (shares.empty()) continue;
    ASSERT_GE(sum(shares), bytes);
    ASSERT_LE(sum(shares), total);
    for (std::size_t each = 0; each < rooms.size(); ++each) {
      ASSERT_LE(shares[each], rooms[each]);
      ASSERT_EQ(shares[each] % kChunkBytes, 0U);
    }
  }
}

}  // namespace
}  // namespace weir::detail
