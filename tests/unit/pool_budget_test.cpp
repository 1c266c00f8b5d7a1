#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "os/numa.h"
#include "pool_limits.h"
#include "pool_testing.h"

// How much memory a pool may map, a node may have and a class may take; and whose it is.

namespace weir {
namespace {

using testing::expect_law;
using testing::lend_all;
using testing::mapped_bytes;
using testing::one_class;
using testing::small_options;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

std::size_t nodes() { return os::memory_nodes().size(); }

std::string refusal(const Options& options) {
  try {
    const Pool pool(options);
    return "accepted";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string refusal(Pool& pool, std::size_t bytes) {
  try {
    pool.reserve(bytes);
    return "accepted";
  } catch (const Error& error) {
    return error.what();
  }
}

/// Grows by `step` as often as it can. Returns how often that was.
std::size_t grow_all(Pool& pool, std::size_t step) {
  std::size_t grown = 0;
  while (grown < 1000 && refusal(pool, step) == "accepted") ++grown;
  return grown;
}

struct Budget {
  std::size_t start;
  std::size_t most;
  std::size_t step;
};

class BudgetTest : public ::testing::TestWithParam<Budget> {};

TEST_P(BudgetTest, IsOfBytesMappedAndIsUsedUpAndKept) {
  const auto [start, most, step] = GetParam();
  Options options = small_options(start);
  options.max_bytes = most;
  Pool pool(options);
  EXPECT_EQ(mapped_bytes(pool), start);
  while (mapped_bytes(pool) + step <= most) {
    const std::size_t before = mapped_bytes(pool);
    ASSERT_EQ(refusal(pool, step), "accepted") << before << " of " << most;
    ASSERT_GE(mapped_bytes(pool), before + step);
    ASSERT_LE(mapped_bytes(pool), most);
  }
  EXPECT_NE(refusal(pool, step).find("raise WEIR_MAX_BYTES"), std::string::npos);
  EXPECT_EQ(lend_all(pool, 1024).size(), testing::most_buffers(pool, 1024)) << "all of it is lent";
  const std::size_t full = mapped_bytes(pool);
  pool.flush();
  EXPECT_EQ(pool.trim(), full - start);
  EXPECT_EQ(refusal(pool, step), "accepted") << "what was given back may be mapped again";
  expect_law(pool, 0);
}

INSTANTIATE_TEST_SUITE_P(Budgets, BudgetTest,
                         ::testing::Values(Budget{4 * kMiB, 5 * kMiB, kMiB}, Budget{8 * kMiB, 10 * kMiB, 2 * kMiB},
                                           Budget{kMiB, 4 * kMiB, kMiB}, Budget{2 * kMiB, 9 * kMiB, 3 * kMiB},
                                           Budget{512 * kKiB, kMiB, 64 * kKiB}, Budget{512 * kKiB, kMiB, 192 * kKiB},
                                           Budget{2 * kMiB, 34 * kMiB, 512 * kKiB}));

TEST(Budget, ReserveMapsWholeHugePagesWhereThereIsRoom) {
  Options options = small_options(2 * kMiB * nodes());
  options.max_bytes = 7 * kMiB * nodes();
  Pool pool(options);
  for (const std::size_t mapped : {4 * kMiB, 6 * kMiB}) {
    pool.reserve(100 * kKiB);
    EXPECT_EQ(mapped_bytes(pool), mapped * nodes());
  }
  pool.reserve(64 * kKiB * nodes());
  EXPECT_EQ(mapped_bytes(pool), (6 * kMiB + 64 * kKiB) * nodes());
}

TEST(Budget, AClassThatCanNeverBeLentIsRefused) {
  const std::string said = refusal(one_class(256 * kKiB, 2 * kMiB));
  EXPECT_NE(said.find("WEIR_CLASSES has buffers of 2 MiB, which can never be lent"), std::string::npos) << said;
  EXPECT_NE(said.find("raise WEIR_BYTES to " + std::to_string(2 * nodes()) + " MiB"), std::string::npos) << said;
  Options options = one_class(256 * kKiB, 4096);
  options.page_classes = {2 * kMiB};
  EXPECT_NE(refusal(options).find("WEIR_PAGE_CLASSES has buffers of 2 MiB"), std::string::npos);
}

/// A pool that is accepted lends of each of its classes, once it has all the memory that it may have. On one node: of
/// several, reserve() gives each a part, where growth may give one all of it.
TEST(Budget, AClassThatIsAcceptedIsLent) {
  int accepted = 0;
  for (std::uint32_t bytes = 64 * kKiB; bytes <= 2 * kMiB; bytes *= 2) {
    for (const std::size_t start : {256 * kKiB, 512 * kKiB, kMiB + 64 * kKiB, 2 * kMiB, 4 * kMiB}) {
      for (const std::size_t more : {std::size_t{0}, 256 * kKiB, kMiB, 2 * kMiB}) {
        Options options = one_class(start, bytes);
        options.nodes = {os::memory_nodes().front()};
        options.max_bytes = more > 0 ? start + more : 0;
        if (refusal(options) != "accepted") continue;
        ++accepted;
        Pool pool(options);
        if (more > 0) pool.reserve(more);
        EXPECT_TRUE(pool.lend(bytes)) << bytes << " of " << start << " and " << more;
      }
    }
  }
  EXPECT_GE(accepted, 80);
}

TEST(Budget, ASmallPoolGrowsInSmallSteps) {
  Options options = one_class(256 * kKiB * nodes(), 4096);
  options.max_bytes = kMiB * nodes();
  Pool pool(options);
  EXPECT_EQ(grow_all(pool, 64 * kKiB * nodes()), 12U);
  EXPECT_EQ(mapped_bytes(pool), kMiB * nodes());
}

TEST(Budget, AMaximumIsKeptFromTheStart) {
  for (const std::size_t bytes : {3 * kMiB, 5 * kMiB, 700 * kKiB, 256 * kKiB, 256 * kKiB + 1}) {
    Options options = small_options(bytes);
    options.max_bytes = bytes;
    const Pool pool(options);
    EXPECT_LE(mapped_bytes(pool), bytes);
    EXPECT_GT(mapped_bytes(pool), bytes - 64 * kKiB) << "but for less than a chunk";
  }
}

TEST(Budget, OfANodeIsKept) {
  Options options = small_options(2 * kMiB * nodes());
  options.max_bytes = 64 * kMiB * nodes();
  options.node_max_bytes = 5 * kMiB;
  Pool pool(options);
  EXPECT_EQ(grow_all(pool, kMiB * nodes()), 2U) << "a whole huge page, and what is left";
  EXPECT_EQ(mapped_bytes(pool), 5 * kMiB * nodes());
  EXPECT_NE(refusal(pool, 1).find("raise WEIR_NODE_MAX_BYTES"), std::string::npos) << refusal(pool, 1);
}

TEST(Budget, OfANodeHoldsItsPartOfTheStart) {
  Options options = small_options(2 * kMiB * nodes());
  options.node_max_bytes = kMiB;
  EXPECT_NE(refusal(options).find("WEIR_NODE_MAX_BYTES='1048576' is less than a node's part"), std::string::npos)
      << refusal(options);
  options.node_max_bytes = 2 * kMiB;
  EXPECT_EQ(refusal(options), "accepted");
}

class ClassBudget : public ::testing::Test {
 protected:
  /// 4 MiB a node, of which buffers of 4 KiB may have one.
  static Options options() {
    Options options = small_options(4 * kMiB * nodes());
    options.classes = {1024, 4096, 16384};
    options.page_classes = {4096};
    options.class_max_bytes = {{4096, kMiB * nodes()}};
    return options;
  }
  static std::size_t most(Pool& pool, detail::Alignment alignment = detail::Alignment::line) {
    const detail::SizeClass& limited = testing::class_of(pool, 4096, alignment);
    return kMiB / limited.slab_bytes * limited.per_slab * nodes();
  }
};

TEST_F(ClassBudget, IsAllThatTheClassTakes) {
  Pool pool(options());
  std::vector<Loan> loans = lend_all(pool, 4096);
  EXPECT_EQ(loans.size(), most(pool));
  EXPECT_FALSE(pool.lend(4096));
  const std::vector<Loan> others = lend_all(pool, 16384);
  const detail::SizeClass& other = testing::class_of(pool, 16384);
  EXPECT_EQ(others.size(), 3 * kMiB / other.slab_bytes * other.per_slab * nodes()) << "the rest is for the others";
  expect_law(pool, loans.size() + others.size());
}

TEST_F(ClassBudget, IsThereAgainWhenBuffersComeHome) {
  Pool pool(options());
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(lend_all(pool, 4096).size(), most(pool));
    EXPECT_EQ(lend_all(pool, 1024).size(), testing::most_buffers(pool, 1024)) << "slabs change class";
  }
  expect_law(pool, 0);
}

TEST_F(ClassBudget, IsOfEachClassOfThatSize) {
  Pool pool(options());
  const std::vector<Loan> lines = lend_all(pool, 4096);
  std::vector<Loan> pages;
  while (Loan loan = pool.lend_pages(4096)) pages.push_back(std::move(loan));
  EXPECT_EQ(lines.size(), most(pool));
  EXPECT_EQ(pages.size(), most(pool, detail::Alignment::page));
}

TEST_F(ClassBudget, StaysWhenThePoolGrows) {
  Options growing = options();
  growing.max_bytes = 16 * kMiB * nodes();
  Pool pool(growing);
  const std::vector<Loan> loans = lend_all(pool, 4096);
  pool.reserve(4 * kMiB * nodes());
  EXPECT_FALSE(pool.lend(4096));
  EXPECT_TRUE(pool.lend(16384));
}

TEST_F(ClassBudget, HoldsASlab) {
  Options small = options();
  small.class_max_bytes = {{4096, 60 * kKiB}};
  const std::string said = refusal(small);
  EXPECT_NE(said.find("WEIR_CLASS_MAX_BYTES gives buffers of 4 KiB less than the slab of "), std::string::npos) << said;
  Pool pool(options());
  small.class_max_bytes = {{4096, testing::class_of(pool, 4096).slab_bytes * nodes()}};
  small.page_classes.clear();
  EXPECT_EQ(refusal(small), "accepted");
}

TEST(Nodes, OneThatDoesNotExistIsRefused) {
  Options options = small_options();
  options.nodes = {63};
  const std::string said = refusal(options);
  EXPECT_NE(said.find("WEIR_NODES='63' has node 63, but memory is on "), std::string::npos) << said;
  EXPECT_NE(said.find("export WEIR_NODES=all"), std::string::npos) << said;
}

TEST(Nodes, MemoryIsOnThoseNamed) {
  Options options = small_options();
  options.nodes = {os::memory_nodes().back()};
  Pool pool(options);
  ASSERT_EQ(pool.grades().size(), 1U);
  EXPECT_EQ(pool.grades().front().node, options.nodes.front());
  EXPECT_EQ(mapped_bytes(pool), options.bytes) << "all of it";
  EXPECT_EQ(lend_all(pool, 4096).size(), testing::most_buffers(pool, 4096));
  expect_law(pool, 0);
}

TEST(Nodes, InterleavingLendsAll) {
  Options options = small_options(4 * kMiB * nodes());
  options.placement = Placement::interleave;
  Pool pool(options);
  for (const std::uint32_t bytes : {512U, 65536U, 4096U}) {
    EXPECT_EQ(lend_all(pool, bytes).size(), testing::most_buffers(pool, bytes)) << bytes;
  }
  pool.trim();
  EXPECT_EQ(pool.counts().capacity, 0U);
  expect_law(pool, 0);
}

TEST(NodeLane, LendsOfItsNodeUntilThatIsEmpty) {
  Pool pool(small_options(4 * kMiB * nodes()));
  const std::vector<Loan> other = lend_all(pool, 16384);
  EXPECT_FALSE(pool.lane(4096, os::memory_nodes().front()).lend());
  EXPECT_EQ(pool.counts().user, other.size());
}

TEST(NodeLane, TakesWhatOtherClassesDoNotUse) {
  Pool pool(small_options(4 * kMiB * nodes()));
  lend_all(pool, 16384).clear();
  NodeLane lane = pool.lane(4096, os::memory_nodes().front());
  std::vector<Loan> loans;
  while (Loan loan = lane.lend()) loans.push_back(std::move(loan));
  EXPECT_EQ(loans.size() * nodes(), testing::most_buffers(pool, 4096));
  for (const Loan& loan : loans) EXPECT_EQ(loan.size(), 4096U);
  expect_law(pool, loans.size());
  loans.clear();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(lane.lend());
  expect_law(pool, 0);
}

TEST(NodeLane, OfNoClassLendsNothing) {
  Pool pool(small_options());
  EXPECT_FALSE(pool.lane(65537, os::memory_nodes().front()).lend());
  EXPECT_FALSE(pool.lane(65537, os::memory_nodes().back()).lend());
}

TEST(NodeLane, OfANodeThatIsNotAloneIsRefused) {
  Pool pool(small_options());
  EXPECT_THROW(pool.lane(4096, 63), Error);
  Options options = small_options();
  options.placement = Placement::interleave;
  Pool mixed(options);
  EXPECT_THROW(mixed.lane(4096, os::memory_nodes().front()), Error);
}

}  // namespace
}  // namespace weir
