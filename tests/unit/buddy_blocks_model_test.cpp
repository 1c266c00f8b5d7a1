#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <string>
#include <vector>

#include "chunks.h"
#include "memory/buddy_blocks.h"
#include "seed.h"

// The buddy blocks against a model: a flag for each page. Blocks are joined as far as they can be, so whether there is
// a block of an order, or a run of pages, can be read off the flags.

namespace weir::detail {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint32_t kPagesPerChunk = kChunkBytes / kPage;
constexpr unsigned kOrders = 6;

struct Range {
  std::uint32_t first;  ///< page
  std::uint32_t count;
};

class BuddyBlocksModel {
 public:
  BuddyBlocksModel(std::vector<Range> arenas, std::uint64_t seed)
      : memory_(end_of(arenas) / kPagesPerChunk), used_(memory_.bytes() / kPage, true), random_(seed) {
    for (const Range& arena : arenas) absent_.push_back(arena);
    while (!absent_.empty()) add_arena();
  }

  void run(int steps, bool arenas_move) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      const bool rising = i / 500 % 2 == 0;
      const std::uint64_t what = random_() % 100;
      if (what < (rising ? 40U : 20U)) {
        take_block(static_cast<unsigned>(random_() % kOrders));
      } else if (what < (rising ? 60U : 35U)) {
        take_pages(1 + random_() % (random_() % 8 == 0 ? kMostSlab + kPage : kChunkBytes));
      } else if (what < 97) {
        give_one();
      } else if (arenas_move) {
        random_() % 2 == 0 ? add_arena() : remove_arena();
      }
      ASSERT_EQ(blocks_.free_bytes(), free_chunks() * kChunkBytes);
    }
  }

  void give_all() {
    while (!lent_.empty() || !pages_.empty()) give_one();
    while (!absent_.empty()) add_arena();
    EXPECT_EQ(blocks_.free_bytes(), free_chunks() * kChunkBytes);
  }

  /// With all free, the arenas are as few blocks as they can be.
  void expect_joined() {
    for (unsigned order = kOrders; order-- > 0;) {
      std::size_t expected = 0;
      for (const Range& run : aligned_runs(order)) expected += is_free(run);
      std::size_t taken = 0;
      for (std::uint32_t at = blocks_.take(order); at != kNoChunk; at = blocks_.take(order)) {
        set({at * kPagesPerChunk, kPagesPerChunk << order}, true);
        ++taken;
      }
      EXPECT_EQ(taken, expected) << "blocks of order " << order;
    }
    EXPECT_EQ(blocks_.free_bytes(), 0U);
    EXPECT_EQ(free_chunks(), 0U);
  }

 private:
  struct Block {
    std::uint32_t chunk;
    unsigned order;
  };
  struct Pages {
    std::byte* where;
    std::size_t bytes;
  };

  static std::uint32_t end_of(const std::vector<Range>& arenas) {
    return arenas.back().first + static_cast<std::uint32_t>(base::round_up(arenas.back().count, 32 * kPagesPerChunk));
  }
  bool is_free(const Range& range) const {
    return std::none_of(used_.begin() + range.first, used_.begin() + range.first + range.count,
                        [](bool used) { return used; });
  }
  void set(const Range& range, bool used) { std::fill_n(used_.begin() + range.first, range.count, used); }
  std::vector<Range> aligned_runs(unsigned order) const {
    std::vector<Range> runs;
    const std::uint32_t count = kPagesPerChunk << order;
    for (std::uint32_t first = 0; first + count <= used_.size(); first += count) runs.push_back({first, count});
    return runs;
  }
  bool has_block(unsigned order) const {
    const std::vector<Range> runs = aligned_runs(order);
    return std::any_of(runs.begin(), runs.end(), [&](const Range& run) { return is_free(run); });
  }
  std::size_t free_chunks() const {
    const std::vector<Range> runs = aligned_runs(0);
    return static_cast<std::size_t>(
        std::count_if(runs.begin(), runs.end(), [&](const Range& run) { return is_free(run); }));
  }
  /// Whether some chunk has so many free pages in a row.
  bool has_run(std::uint32_t pages) const {
    for (std::uint32_t first = 0; first + pages <= used_.size(); ++first) {
      const bool in_one = first / kPagesPerChunk == (first + pages - 1) / kPagesPerChunk;
      if (in_one && is_free({first, pages})) return true;
    }
    return false;
  }

  void take_block(unsigned order) {
    const bool there = has_block(order);
    const std::uint32_t chunk = blocks_.take(order);
    ASSERT_EQ(chunk != kNoChunk, there) << "order " << order;
    if (!there) return;
    ASSERT_EQ(chunk % (1U << order), 0U);
    const Range range{chunk * kPagesPerChunk, kPagesPerChunk << order};
    ASSERT_TRUE(is_free(range)) << "chunk " << chunk << " of order " << order << " was taken already";
    set(range, true);
    lent_.push_back({chunk, order});
  }

  void take_pages(std::size_t bytes) {
    const auto pages = static_cast<std::uint32_t>((bytes + kPage - 1) / kPage);
    const bool there = bytes > kMostSlab     ? false
                       : bytes < kChunkBytes ? has_run(pages)
                                             : has_block(static_cast<unsigned>(std::countr_zero(
                                                   std::bit_ceil((bytes + kChunkBytes - 1) / kChunkBytes))));
    std::byte* const where = blocks_.take_pages(bytes);
    ASSERT_EQ(where != nullptr, there) << bytes << " bytes";
    if (!there) return;
    const Range range = range_of(where, bytes);
    ASSERT_EQ(static_cast<std::size_t>(where - memory_.base()) % kPage, 0U);
    ASSERT_TRUE(is_free(range)) << bytes << " bytes of pages were taken already";
    set(range, true);
    pages_.push_back({where, bytes});
  }

  /// What a run of pages takes: a whole block from a chunk on.
  Range range_of(const std::byte* where, std::size_t bytes) const {
    const auto first = static_cast<std::uint32_t>(static_cast<std::size_t>(where - memory_.base()) / kPage);
    const std::size_t taken = bytes < kChunkBytes ? bytes : std::bit_ceil(base::round_up(bytes, kChunkBytes));
    return {first, static_cast<std::uint32_t>((taken + kPage - 1) / kPage)};
  }

  void give_one() {
    if (!lent_.empty() && (pages_.empty() || random_() % 2 == 0)) {
      std::swap(lent_[random_() % lent_.size()], lent_.back());
      const Block block = lent_.back();
      lent_.pop_back();
      blocks_.give(block.chunk, block.order);
      set({block.chunk * kPagesPerChunk, kPagesPerChunk << block.order}, false);
    } else if (!pages_.empty()) {
      std::swap(pages_[random_() % pages_.size()], pages_.back());
      const Pages pages = pages_.back();
      pages_.pop_back();
      blocks_.give_pages(pages.where, pages.bytes);
      set(range_of(pages.where, pages.bytes), false);
    }
  }

  void add_arena() {
    if (absent_.empty()) return;
    const Range arena = absent_.back();
    absent_.pop_back();
    blocks_.add_memory(memory_.base() + arena.first * kPage, arena.count * kPage);
    set(arena, false);
    present_.push_back(arena);
  }

  void remove_arena() {
    if (present_.empty()) return;
    std::swap(present_[random_() % present_.size()], present_.back());
    const Range arena = present_.back();
    const bool unused = is_free(arena);
    ASSERT_EQ(blocks_.remove_memory(memory_.base() + arena.first * kPage, arena.count * kPage), unused);
    if (!unused) return;
    present_.pop_back();
    set(arena, true);
    absent_.push_back(arena);
  }

  testing::Chunks memory_;
  BuddyBlocks blocks_{memory_.map};
  std::vector<bool> used_;
  std::vector<Block> lent_;
  std::vector<Pages> pages_;
  std::vector<Range> present_;
  std::vector<Range> absent_;
  std::mt19937_64 random_;
};

Range arena(std::uint32_t huge_page, std::uint32_t chunks) {
  return {huge_page * 32 * kPagesPerChunk, chunks * kPagesPerChunk};
}

TEST(BuddyBlocksModel, BlocksOfAllOrdersAndPagesAgree) {
  BuddyBlocksModel model({arena(0, 32), arena(1, 64)}, testing::seed());
  model.run(testing::steps(40'000), false);
  model.give_all();
  model.expect_joined();
}

TEST(BuddyBlocksModel, ArenasOfAnySizeComeAndGo) {
  BuddyBlocksModel model({arena(0, 32), arena(1, 5), arena(2, 32), arena(3, 31), arena(4, 64), arena(6, 1)},
                         testing::seed());
  model.run(testing::steps(40'000), true);
  model.give_all();
  model.expect_joined();
}

/// Every sequence of three takes, given back in every order, ends in one block.
TEST(BuddyBlocksModel, EverySplitIsJoinedAgain) {
  testing::Chunks memory(32);
  BuddyBlocks blocks(memory.map);
  blocks.add_memory(memory.base(), kMostSlab);
  for (unsigned orders = 0; orders < kOrders * kOrders * kOrders; ++orders) {
    const unsigned wanted[] = {orders % kOrders, orders / kOrders % kOrders, orders / kOrders / kOrders};
    unsigned order_of_giving[] = {0, 1, 2};
    do {
      std::uint32_t taken[3];
      for (int i = 0; i < 3; ++i) taken[i] = blocks.take(wanted[i]);
      for (const unsigned i : order_of_giving) {
        if (taken[i] != kNoChunk) blocks.give(taken[i], wanted[i]);
      }
      const std::uint32_t whole = blocks.take(kOrders - 1);
      ASSERT_EQ(whole, 0U) << "orders " << wanted[0] << " " << wanted[1] << " " << wanted[2];
      blocks.give(whole, kOrders - 1);
    } while (std::next_permutation(order_of_giving, order_of_giving + 3));
  }
}

}  // namespace
}  // namespace weir::detail
