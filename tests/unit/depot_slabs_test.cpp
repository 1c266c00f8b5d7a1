#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cache/depot.h"
#include "chunks.h"
#include "seed.h"

// How a depot cuts slabs, knows their buffers, and gives them back to the node.

namespace weir::detail {
namespace {

constexpr std::uint32_t kLane = 78;
constexpr std::size_t kAll = SIZE_MAX;

/// A depot of one class over 8 MiB.
class Slabs {
 public:
  explicit Slabs(const SizeClass& size_class) : depot(blocks, size_class, kLane, 4) {
    blocks.add_memory(memory.base(), memory.bytes());
  }
  ~Slabs() { depot.retire(); }

  std::vector<std::byte*> take(std::size_t count) {
    std::vector<std::byte*> all;
    std::array<std::byte*, 100> some{};
    while (const std::size_t got = depot.take(std::span(some).first(std::min(count - all.size(), some.size()))))
      all.insert(all.end(), some.begin(), some.begin() + got);
    return all;
  }
  std::uint64_t capacity() const { return depot.record().capacity; }
  std::uint64_t free() const { return depot.record().free; }
  /// No memory is lost or held twice: the blocks has what no slab is.
  void expect_memory_accounted() {
    const SizeClass& size_class = depot.size_class();
    EXPECT_EQ(blocks.free_bytes() + (capacity() / size_class.per_slab * size_class.slab_bytes), memory.bytes());
  }

  testing::Chunks memory{128};
  BuddyBlocks blocks{memory.map};
  Depot depot;
};

SizeClass lines(std::uint32_t bytes, std::size_t most_slab = kMostSlab) {
  return make_size_class(bytes, Alignment::line, most_slab);
}
SizeClass pages(std::uint32_t bytes) { return make_size_class(bytes, Alignment::page, kMostSlab); }

std::string name_of(const ::testing::TestParamInfo<SizeClass>& info) {
  return std::to_string(info.param.bytes) + (info.param.alignment == Alignment::page ? "_for_pages_in_" : "_in_") +
         std::to_string(info.param.slab_bytes);
}

class DepotSlabs : public ::testing::TestWithParam<SizeClass> {};

TEST_P(DepotSlabs, EveryBufferLiesInsideItsSlabAndTouchesNoOther) {
  Slabs slabs(GetParam());
  const SizeClass& c = GetParam();
  std::vector<std::byte*> all = slabs.take(kAll);
  EXPECT_EQ(all.size(), slabs.memory.bytes() / c.slab_bytes * c.per_slab);
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto offset = static_cast<std::size_t>(all[i] - slabs.memory.base());
    ASSERT_EQ(offset % (c.alignment == Alignment::page ? 4096 : 64), 0U);
    ASSERT_EQ(offset / c.slab_bytes, (offset + c.bytes - 1) / c.slab_bytes) << "it crosses the end of its slab";
    ASSERT_TRUE(i == 0 || all[i] >= all[i - 1] + c.bytes);
  }
  slabs.depot.give(all);
  slabs.depot.give_back_slabs();
  EXPECT_EQ(slabs.blocks.free_bytes(), slabs.memory.bytes());
}

/// Each start of a buffer is known as one, and no other byte of the slab is.
TEST_P(DepotSlabs, StartsOfBuffersAreTheOnlyOnes) {
  Slabs slabs(GetParam());
  const SizeClass& c = GetParam();
  const std::byte* one = slabs.take(1).at(0);
  const std::uint32_t chunk = slabs.memory.map.start_of(one);
  const std::byte* start = slabs.memory.map.address(chunk);
  std::size_t wrong = 0;
  for (std::size_t offset = 0; offset < c.slab_bytes; ++offset) {
    const bool is_start = offset % c.stride == 0 && offset / c.stride < c.per_slab;
    wrong += slabs.depot.is_buffer(chunk, start + offset) != is_start;
  }
  EXPECT_EQ(wrong, 0U);
  slabs.depot.give(std::vector{const_cast<std::byte*>(one)});
}

TEST_P(DepotSlabs, RandomTakesAndGivesLoseNothing) {
  Slabs slabs(GetParam());
  std::mt19937_64 random(testing::seed());
  std::vector<std::byte*> out;
  std::set<std::byte*> distinct;
  for (int i = 0; i < testing::steps(3000); ++i) {
    if (random() % 2 == 0) {
      for (std::byte* buffer : slabs.take(random() % 600)) {
        ASSERT_TRUE(distinct.insert(buffer).second) << "taken twice";
        out.push_back(buffer);
      }
    } else {
      std::shuffle(out.begin(), out.end(), random);
      const std::size_t leaving = random() % 4 == 0 ? out.size() : random() % 600 % (out.size() + 1);
      for (std::size_t j = out.size() - leaving; j < out.size(); ++j) distinct.erase(out[j]);
      slabs.depot.give(std::span(out).last(leaving));
      out.resize(out.size() - leaving);
    }
    if (random() % 20 == 0) slabs.depot.give_back_slabs();
    ASSERT_EQ(slabs.capacity() - slabs.free(), out.size());
    slabs.expect_memory_accounted();
  }
  std::size_t home = 0;
  slabs.depot.visit_home([&](std::byte* buffer) {
    ++home;
    EXPECT_TRUE(distinct.insert(buffer).second) << "home and taken, or home twice";
  });
  EXPECT_EQ(home, slabs.free());
  slabs.depot.give(out);
}

INSTANTIATE_TEST_SUITE_P(Classes, DepotSlabs,
                         ::testing::Values(lines(64), lines(128, kLeastSlab), lines(192), lines(320), lines(512),
                                           lines(1536), lines(2048, kLeastSlab), lines(4096), lines(4096, kLeastSlab),
                                           lines(4160), lines(7 * 64), lines(9216), lines(16384), lines(12288),
                                           lines(65536), lines(65536, kLeastSlab), lines(65600), lines(262144),
                                           lines(655360), lines(1048576), lines(2097152), pages(4096), pages(12288),
                                           pages(65536), pages(2097152)),
                         name_of);

/// A depot keeps the buffers that came home last, the slabs that those are of, and one small slab.
TEST(DepotWholeSlabs, GoBackToTheNodeByThemselves) {
  for (const SizeClass& size_class : {lines(64), lines(1024), lines(65536)}) {
    Slabs slabs(size_class);
    const std::vector<std::byte*> all = slabs.take(kAll);
    EXPECT_EQ(slabs.blocks.free_bytes(), 0U);
    slabs.depot.give(all);
    const std::size_t before = slabs.blocks.free_bytes();
    slabs.expect_memory_accounted();
    EXPECT_TRUE(size_class.bytes != 64 || before >= slabs.memory.bytes() * 9 / 10) << "most of it came home long ago";
    slabs.depot.give_back_slabs();
    EXPECT_EQ(slabs.blocks.free_bytes(), slabs.memory.bytes());
  }
}

TEST(DepotWholeSlabs, AllGoBackWhenAskedFor) {
  Slabs slabs(lines(4096));
  const std::vector<std::byte*> all = slabs.take(300);
  EXPECT_EQ(slabs.depot.give_back_slabs() % slabs.depot.size_class().slab_bytes, 0U);
  slabs.depot.give(all);
  const std::uint64_t capacity = slabs.capacity();
  EXPECT_EQ(slabs.depot.give_back_slabs(),
            capacity / slabs.depot.size_class().per_slab * slabs.depot.size_class().slab_bytes);
  EXPECT_EQ(slabs.capacity(), 0U);
  EXPECT_EQ(slabs.depot.give_back_slabs(), 0U);
  EXPECT_EQ(slabs.blocks.free_bytes(), slabs.memory.bytes());
}

TEST(DepotWholeSlabs, ASlabWithOneBufferOutStays) {
  Slabs slabs(lines(16384));
  std::vector<std::byte*> all = slabs.take(kAll);
  const std::uint32_t chunk = slabs.memory.map.start_of(all.back());
  std::byte* const kept = all.back();
  all.pop_back();
  slabs.depot.give(all);
  slabs.depot.give_back_slabs();
  EXPECT_EQ(slabs.capacity(), slabs.depot.size_class().per_slab);
  EXPECT_TRUE(slabs.depot.is_buffer(chunk, kept));
  EXPECT_EQ(slabs.memory.map[chunk].state, Slab::State::cut);
  slabs.depot.give({&kept, 1});
}

TEST(DepotWholeSlabs, TwoClassesShareTheMemoryInTurn) {
  Slabs slabs(lines(1024));
  Depot other(slabs.blocks, pages(65536), kLane + 1, 4);
  for (int round = 0; round < 3; ++round) {
    const std::vector<std::byte*> small = slabs.take(kAll);
    EXPECT_EQ(small.size(), slabs.memory.bytes() / 1024);
    std::byte* large = nullptr;
    EXPECT_EQ(other.take({&large, 1}), 0U);
    slabs.depot.give(small);
    slabs.depot.give_back_slabs();
    std::vector<std::byte*> all(slabs.memory.bytes() / 65536);
    std::size_t count = 0;
    while (const std::size_t got = other.take(std::span(all).subspan(count))) count += got;
    EXPECT_EQ(count, all.size());
    EXPECT_TRUE(slabs.take(1).empty());
    other.give(all);
    other.give_back_slabs();
  }
  other.retire();
}

TEST(DepotSlabsDeathTest, ABufferThatIsHomeAlreadyIsFatalWhereItIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        Slabs slabs(lines(4096));
        std::byte* const one = slabs.take(2).at(0);
        slabs.depot.give({&one, 1});
        slabs.depot.give({&one, 1});
        slabs.depot.give_back_slabs();
      },
      ::testing::KilledBySignal(SIGABRT), "weir: a buffer of 4096 bytes was returned twice: two parts of the program");
}

}  // namespace
}  // namespace weir::detail
