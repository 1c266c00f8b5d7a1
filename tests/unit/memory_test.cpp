#include "os/memory.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "os/event.h"
#include "os/numa.h"

namespace weir::os {
namespace {

constexpr std::size_t kMiB = 1 << 20;

/// A reservation that ends with the test.
class Range {
 public:
  Range(std::size_t bytes, std::size_t alignment) : base_(reserve(bytes, alignment)), bytes_(bytes) {}
  ~Range() {
    if (base_ != nullptr) release(base_, bytes_);
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
  std::byte* base() const { return base_; }

 private:
  std::byte* base_;
  std::size_t bytes_;
};

TEST(Reserve, IsAlignedAndHoldsNothing) {
  for (const std::size_t alignment : {std::size_t{4096}, std::size_t{65536}, 2 * kMiB, 1024 * kMiB}) {
    const Range range(4 * kMiB, alignment);
    ASSERT_NE(range.base(), nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(range.base()) % alignment, 0U);
  }
}

TEST(Reserve, IsEmptyWhereThereIsNoSuchSpace) { EXPECT_EQ(reserve(std::size_t{1} << 62, 4096), nullptr); }

#ifndef WEIR_SANITIZED  // sanitizers turn the signal into a report and an exit
TEST(ReserveDeathTest, TouchingItFaults) {
  const Range range(kMiB, 4096);
  EXPECT_EXIT(*reinterpret_cast<volatile char*>(range.base()) = 1, testing::KilledBySignal(SIGSEGV), "");
}
#endif

TEST(MapAt, GivesMemoryThatComesAndGoes) {
  const Range range(4 * kMiB, 2 * kMiB);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(map_at(range.base() + 2 * kMiB, kMiB, PageKind::small), 0);
    ASSERT_EQ(exclude_from_fork(range.base() + 2 * kMiB, kMiB), 0);
    const int error = populate(range.base() + 2 * kMiB, kMiB);
    EXPECT_TRUE(error == 0 || error == -EINVAL) << error;  // -EINVAL: Linux before 5.14
    populate_by_touch(range.base() + 2 * kMiB, kMiB);
    EXPECT_EQ(range.base()[3 * kMiB - 1], std::byte{0}) << "fresh memory is zero";
    std::fill_n(range.base() + 2 * kMiB, kMiB, std::byte{0xa5});
    ASSERT_EQ(unmap_to_reserved(range.base() + 2 * kMiB, kMiB), 0);
  }
}

TEST(MapAt, MoreHugePagesThanThereCanBeIsAnErrorAndTheRangeStaysReserved) {
  constexpr std::size_t bytes = std::size_t{1} << 38;
  const Range range(bytes, 2 * kMiB);
  ASSERT_NE(range.base(), nullptr);
  EXPECT_EQ(map_at(range.base(), bytes, PageKind::huge_tlb_2m), -ENOMEM);
  EXPECT_EQ(map_at(range.base(), 4096, PageKind::small), 0);
}

TEST(MapAt, MorePagesOf1GiBThanThereCanBeIsAnError) {
  constexpr std::size_t bytes = std::size_t{1} << 39;  // ThreadSanitizer leaves little more, in one piece
  const Range range(bytes, 1024 * kMiB);
  ASSERT_NE(range.base(), nullptr);
  const int error = map_at(range.base(), bytes, PageKind::huge_tlb_1g);
  EXPECT_TRUE(error == -ENOMEM || error == -EINVAL) << error;  // -EINVAL: a processor that has none
}

/// How many of the pages have memory.
std::size_t pages_there(std::byte* base, std::size_t pages, std::size_t page_bytes) {
  std::vector<void*> addresses;
  for (std::size_t i = 0; i < pages; ++i) addresses.push_back(base + i * page_bytes);
  std::vector<int> nodes(pages, -1);
  EXPECT_EQ(query_nodes(addresses, nodes), 0);
  return pages - static_cast<std::size_t>(std::count_if(nodes.begin(), nodes.end(), [](int node) { return node < 0; }));
}

TEST(PopulateByKernel, BringsEveryPageIn) {
  constexpr std::size_t pages = 2051;
  const Range range(pages * 4096, 4096);
  ASSERT_EQ(map_at(range.base(), pages * 4096, PageKind::small), 0);
  EXPECT_EQ(pages_there(range.base(), pages, 4096), 0U);
  ASSERT_EQ(populate_by_kernel(range.base(), pages * 4096, 4096), 0);
  EXPECT_EQ(pages_there(range.base(), pages, 4096), pages);
  EXPECT_TRUE(std::all_of(range.base(), range.base() + pages * 4096, [](std::byte b) { return b == std::byte{0}; }));
}

TEST(PopulateByKernel, WhatCannotBeHadIsAnErrorAndNoSignal) {
  const Range range(kMiB, 4096);
  EXPECT_EQ(populate_by_kernel(range.base(), kMiB, 4096), -EFAULT) << "nothing is there";
  ASSERT_EQ(map_at(range.base(), kMiB / 2, PageKind::small), 0);
  EXPECT_EQ(populate_by_kernel(range.base(), kMiB, 4096), -EFAULT) << "half of it is there";
}

std::size_t free_huge_pages(int node) {
  std::size_t pages = 0;
  std::ifstream("/sys/devices/system/node/node" + std::to_string(node) +
                "/hugepages/hugepages-2048kB/free_hugepages") >>
      pages;
  return pages;
}

/// The reserve, which mmap asks, is of all nodes: only population finds out what a node has.
TEST(PopulateByKernel, MoreHugePagesThanTheNodeHasIsAnErrorAndNoSignal) {
  std::size_t all = 0;
  for (const int node : memory_nodes()) all += free_huge_pages(node);
  const int node = memory_nodes().back();
  const std::size_t here = free_huge_pages(node);
  if (here == all) GTEST_SKIP() << "no other node has huge pages: run it in a guest with several nodes";
  const Range range((here + 1) * 2 * kMiB, 2 * kMiB);
  for (std::size_t pages = here + 1; pages >= here && pages > 0; --pages) {
    ASSERT_EQ(map_at(range.base(), pages * 2 * kMiB, PageKind::huge_tlb_2m), 0);
    ASSERT_EQ(bind_to_node(range.base(), pages * 2 * kMiB, node), 0);
    EXPECT_EQ(populate_by_kernel(range.base(), pages * 2 * kMiB, 2 * kMiB), pages > here ? -EFAULT : 0);
    EXPECT_EQ(pages_there(range.base(), pages, 2 * kMiB), here);
    ASSERT_EQ(unmap_to_reserved(range.base(), pages * 2 * kMiB), 0);
  }
}

/// The kernel makes one mapping of both halves, and counts by mapping.
TEST(TransparentHugeBytes, AreOfTheRangeAlone) {
  const Range range(16 * kMiB, 2 * kMiB);
  std::byte* const halves[] = {range.base(), range.base() + 8 * kMiB};
  for (std::byte* half : halves) {
    if (map_at(half, 8 * kMiB, PageKind::transparent_huge) != 0) GTEST_SKIP() << "no such pages in this kernel";
    populate_by_touch(half, 8 * kMiB);
  }
  const std::size_t all = transparent_huge_bytes(range.base(), 16 * kMiB);
  if (all == 0) GTEST_SKIP() << "no such pages are to be had here";
  EXPECT_EQ(transparent_huge_bytes(halves[0], 8 * kMiB) + transparent_huge_bytes(halves[1], 8 * kMiB), all);
}

TEST(QueryNodes, FindsPopulatedPagesOnTheNodeTheyWereBoundTo) {
  const Range range(kMiB, 4096);
  ASSERT_EQ(map_at(range.base(), kMiB, PageKind::small), 0);
  const int node = memory_nodes().back();
  if (bind_to_node(range.base(), kMiB, node) != 0) GTEST_SKIP() << "mbind is refused here";
  populate_by_touch(range.base(), kMiB / 2);
  std::array<void*, 2> addresses{range.base(), range.base() + kMiB / 2};
  std::array<int, 2> nodes{-1, -1};
  ASSERT_EQ(query_nodes(addresses, nodes), 0);
  EXPECT_EQ(nodes[0], node);
  EXPECT_LT(nodes[1], 0) << "a page that was never touched is on no node";
}

TEST(BindToNode, RefusesANodeThatIsNotThere) {
  const Range range(kMiB, 4096);
  ASSERT_EQ(map_at(range.base(), kMiB, PageKind::small), 0);
  EXPECT_LT(bind_to_node(range.base(), kMiB, 63), 0);
}

/// Nodes are numbered beyond the bits of a word, where the number of one is not to be taken for another's.
TEST(BindToNode, RefusesThoseOfAnyNumber) {
  const Range range(kMiB, 4096);
  ASSERT_EQ(map_at(range.base(), kMiB, PageKind::small), 0);
  const int answer = bind_to_node(range.base(), kMiB, 1'000'000);
  if (answer == -EPERM || answer == -ENOSYS) GTEST_SKIP() << "mbind is refused here";
  EXPECT_EQ(answer, -EINVAL);
  for (int node = 64; node < 2048; node += 64) {
    const int expected = std::ranges::count(memory_nodes(), node) == 0 ? -EINVAL : 0;
    EXPECT_EQ(bind_to_node(range.base(), kMiB, node), expected) << node;
  }
}

TEST(Numa, NodesAscendAndEachIsNearestToItself) {
  const std::vector<int>& nodes = memory_nodes();
  ASSERT_FALSE(nodes.empty());
  EXPECT_TRUE(std::is_sorted(nodes.begin(), nodes.end()));
  EXPECT_LT(home_node_index(), nodes.size());
  for (unsigned index = 0; index < nodes.size(); ++index) {
    std::vector<unsigned> order = nearest_first(index);
    EXPECT_EQ(order.front(), index);
    std::sort(order.begin(), order.end());
    std::vector<unsigned> all(nodes.size());
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_EQ(order, all);
  }
}

bool readable(int fd) {
  pollfd request{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&request, 1, 0) == 1;
}

TEST(Event, IsReadableFromSignalToClear) {
  const int event = make_event();
  ASSERT_GE(event, 0);
  EXPECT_FALSE(readable(event));
  clear_event(event);  // of nothing: does not block
  for (int i = 0; i < 3; ++i) signal_event(event);
  EXPECT_TRUE(readable(event));
  clear_event(event);
  EXPECT_FALSE(readable(event));
  close_event(event);
}

}  // namespace
}  // namespace weir::os
