#include "memory/arena.h"

#include <gtest/gtest.h>
#include <weir/error.h>

#include <algorithm>
#include <string>

#include "giant_pages.h"
#include "os/memory.h"
#include "os/numa.h"

namespace weir::detail {
namespace {

constexpr std::size_t kMiB = 1 << 20;

class ArenaTest : public ::testing::Test {
 protected:
  Arena map(Pages pages, std::size_t bytes, bool strict = false) {
    Options options;
    options.pages = pages;
    options.strict = strict;
    return map_arena(range_.base(), bytes, node_, options);
  }
  static void expect_usable(const Arena& arena) {
    std::fill_n(arena.base, arena.grade.bytes, std::byte{0x5a});
    EXPECT_EQ(arena.base[arena.grade.bytes - 1], std::byte{0x5a});
  }

  Reservation range_{std::size_t{1} << 38};
  int node_ = os::memory_nodes().front();
};

TEST_F(ArenaTest, TheReservationIsAlignedToHugePages) {
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(range_.base()) % (1024 * kMiB), 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(Reservation(kMiB).base()) % (2 * kMiB), 0U);
}

TEST_F(ArenaTest, NoAddressSpaceIsAnErrorThatNamesTheFix) {
  try {
    const Reservation much(std::size_t{1} << 60);
    FAIL() << "there is no such space";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("lower WEIR_BYTES"), std::string::npos) << error.what();
  }
}

TEST_F(ArenaTest, SmallPagesAreWhatIsAskedAndGot) {
  const Arena arena = map(Pages::small, kMiB);
  EXPECT_EQ(arena.base, range_.base());
  EXPECT_EQ(arena.grade.node, node_);
  EXPECT_EQ(arena.grade.bytes, kMiB);
  EXPECT_EQ(arena.grade.page_bytes, 4096U);
  EXPECT_TRUE(arena.grade.populated);
  EXPECT_FALSE(arena.grade.huge_tlb);
  EXPECT_TRUE(arena.grade.locked || !arena.grade.reason.empty()) << "not locked, and nothing says why";
  EXPECT_TRUE(arena.grade.bound || !arena.grade.reason.empty()) << "not bound, and nothing says why";
  expect_usable(arena);
}

TEST_F(ArenaTest, EachStepDownLeavesItsReason) {
  const Arena arena = map(Pages::automatic, kMiB);
  EXPECT_EQ(arena.grade.page_bytes, 4096U);
  EXPECT_NE(arena.grade.reason.find("no 2 MiB hugetlb: 1 MiB is no multiple of 2 MiB"), std::string::npos)
      << arena.grade.reason;
  EXPECT_NE(arena.grade.reason.find("no transparent huge pages"), std::string::npos) << arena.grade.reason;
  expect_usable(arena);
}

TEST_F(ArenaTest, TransparentHugePagesAreCountedAndNotAssumed) {
  const Arena arena = map(Pages::transparent, 16 * kMiB);
  EXPECT_FALSE(arena.grade.huge_tlb);
  if (arena.grade.page_bytes != 2 * kMiB) {
    EXPECT_NE(arena.grade.reason.find("transparent huge pages"), std::string::npos) << arena.grade.reason;
  }
  expect_usable(arena);
}

TEST_F(ArenaTest, TooFewHugePagesIsAStepDownAndNoSignal) {
  const Arena arena = map(Pages::huge_2m, 64 * kMiB);
  if (arena.grade.huge_tlb) {
    EXPECT_EQ(arena.grade.page_bytes, 2 * kMiB);
    EXPECT_TRUE(arena.grade.locked);
  } else {
    EXPECT_NE(
        arena.grade.reason.find("no 2 MiB hugetlb: node " + std::to_string(node_) + " has not 32 free huge pages"),
        std::string::npos)
        << arena.grade.reason;
    EXPECT_NE(arena.grade.reason.find("/hugepages-2048kB/nr_hugepages by 32"), std::string::npos) << arena.grade.reason;
  }
  expect_usable(arena);
}

TEST_F(ArenaTest, APageOf1GiBThatIsAskedAndDoesNotFitLeavesItsReason) {
  const Arena arena = map(Pages::huge_1g, kMiB);
  EXPECT_NE(arena.grade.reason.find("no 1 GiB hugetlb: 1 MiB is no multiple of 1 GiB"), std::string::npos)
      << arena.grade.reason;
  expect_usable(arena);
}

TEST_F(ArenaTest, APageOf1GiBThatNobodyAskedForLeavesNoReason) {
  for (const Pages pages : {Pages::automatic, Pages::huge_2m}) {
    const Arena arena = map(pages, 2 * kMiB);
    EXPECT_EQ(arena.grade.reason.find("1 GiB"), std::string::npos) << arena.grade.reason;
    os::unmap_to_reserved(arena.base, arena.grade.bytes);
  }
}

TEST_F(ArenaTest, APlaceThatIsNoMultipleOf1GiBIsNoPlaceForSuchPages) {
  Options options;
  options.pages = Pages::huge_1g;
  options.strict = true;
  try {
    map_arena(range_.base() + 2 * kMiB, 1024 * kMiB, node_, options);
    FAIL() << "there is no such place";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("its place in the pool's address space is no multiple of 1 GiB"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(ArenaTest, TooFewPagesOf1GiBAreRefusedByStrictWithTheFix) {
  try {
    map(Pages::huge_1g, std::size_t{1} << 38, true);
    FAIL() << "256 GiB of huge pages were found";
  } catch (const Error& error) {
    const std::string said = error.what();
    EXPECT_NE(said.find("cannot get 256 GiB of 1 GiB hugetlb on node"), std::string::npos) << said;
    EXPECT_TRUE(said.find("hugepages-1048576kB/nr_hugepages by 256") != std::string::npos ||
                said.find("no 1 GiB hugetlb: refused by the kernel") != std::string::npos)
        << said;
  }
}

TEST_F(ArenaTest, WholeGiBAreOnPagesOf1GiBWhereTheyAreFree) {
  if (testing::free_giant_pages(node_) == 0) GTEST_SKIP() << testing::why_no_giant_page(node_);
  const Arena arena = map(Pages::automatic, 1024 * kMiB, true);
  EXPECT_TRUE(arena.grade.huge_tlb && arena.grade.populated && arena.grade.locked && arena.grade.bound);
  EXPECT_EQ(arena.grade.page_bytes, 1024 * kMiB);
  EXPECT_EQ(arena.grade.reason, "");
  arena.base[1024 * kMiB - 1] = std::byte{1};
}

TEST_F(ArenaTest, StrictRefusesALowerRung) {
  try {
    map(Pages::huge_2m, kMiB, true);
    FAIL() << "1 MiB cannot be huge pages";
  } catch (const Error& error) {
    const std::string said = error.what();
    EXPECT_NE(said.find("cannot get 1 MiB of 2 MiB hugetlb on node"), std::string::npos) << said;
    EXPECT_NE(said.find("or lower WEIR_BYTES"), std::string::npos) << said;
  }
  EXPECT_NO_THROW(map(Pages::automatic, kMiB)) << "the range is reserved again";
}

TEST_F(ArenaTest, StrictRefusesMoreHugePagesThanThereCanBe) {
  EXPECT_THROW(map(Pages::huge_2m, std::size_t{1} << 38, true), Error);
}

TEST_F(ArenaTest, StrictTakesWhatIsWhole) {
  try {
    const Arena arena = map(Pages::small, 64 * 1024, true);
    EXPECT_TRUE(arena.grade.reason.empty());
    EXPECT_TRUE(arena.grade.populated && arena.grade.locked && arena.grade.bound);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("WEIR_STRICT=1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace weir::detail
