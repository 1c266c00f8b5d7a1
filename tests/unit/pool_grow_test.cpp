#include <gtest/gtest.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <latch>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bell.h"
#include "os/numa.h"
#include "pool_limits.h"
#include "pool_testing.h"

// reserve() and trim(): memory comes and goes under a pool that lives.

namespace weir {
namespace {

using testing::expect_law;
using testing::lend_all;
using testing::mapped_bytes;
using testing::most_buffers;
using testing::small_options;

constexpr std::size_t kMiB = 1 << 20;

std::size_t nodes() { return os::memory_nodes().size(); }

/// `start` on each node, which may grow to `most` on each.
Options growing(std::size_t start, std::size_t most) {
  Options options = small_options(start * nodes());
  options.max_bytes = most * nodes();
  return options;
}

/// "rw-p", or what else the kernel lets the process do at the address; empty when nothing is there.
std::string rights_at(const std::byte* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    char dash = 0;
    std::string rights;
    std::istringstream(line) >> std::hex >> from >> dash >> to >> rights;
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    if (from <= at && at < to) return rights;
  }
  return {};
}

std::string refusal(Pool& pool, std::size_t bytes) {
  try {
    pool.reserve(bytes);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Reserve, AddsAnArenaOnEachNode) {
  Pool pool(growing(2 * kMiB, 8 * kMiB));
  EXPECT_EQ(pool.grades().size(), nodes());
  for (std::size_t more = 1; more <= 3; ++more) {
    pool.reserve(2 * kMiB * nodes());
    EXPECT_EQ(pool.grades().size(), (1 + more) * nodes());
    EXPECT_EQ(mapped_bytes(pool), (1 + more) * 2 * kMiB * nodes());
    const std::vector<Loan> loans = lend_all(pool, 4096);
    EXPECT_EQ(loans.size(), most_buffers(pool, 4096));
    for (const Loan& loan : loans) testing::mark(loan, 0x11);
    for (const Loan& loan : loans) ASSERT_TRUE(testing::is_marked(loan, 0x11));
    expect_law(pool, loans.size());
  }
}

TEST(Reserve, BeyondTheBudgetIsRefusedWithTheFixAndChangesNothing) {
  Pool pool(growing(2 * kMiB, 6 * kMiB));
  pool.reserve(2 * kMiB * nodes());
  const std::size_t before = mapped_bytes(pool);
  for (const std::size_t bytes : {4 * kMiB * nodes(), 64 * kMiB * nodes(), std::size_t{1} << 45}) {
    const std::string said = refusal(pool, bytes);
    EXPECT_NE(said.find("the pool's budget is spent; raise WEIR_MAX_BYTES"), std::string::npos) << said;
    EXPECT_EQ(mapped_bytes(pool), before);
  }
  EXPECT_EQ(refusal(pool, 2 * kMiB * nodes()), "") << "what there is room for is still to be had";
  EXPECT_NE(refusal(pool, 1), "");
  EXPECT_EQ(lend_all(pool, 1024).size(), most_buffers(pool, 1024));
  expect_law(pool, 0);
}

TEST(Reserve, APoolWithoutAMaximumDoesNotGrow) {
  for (const std::size_t bytes : {256 * kMiB / 1024, 2 * kMiB, 4 * kMiB}) {
    Pool pool(small_options(bytes * nodes()));
    const std::size_t before = mapped_bytes(pool);
    EXPECT_NE(refusal(pool, bytes).find("raise WEIR_MAX_BYTES"), std::string::npos) << bytes;
    EXPECT_EQ(mapped_bytes(pool), before);
    EXPECT_TRUE(pool.lend(1));
  }
}

TEST(Reserve, OfNothingIsNothing) {
  Pool pool(growing(2 * kMiB, 8 * kMiB));
  EXPECT_EQ(refusal(pool, 0), "");
  EXPECT_EQ(pool.grades().size(), nodes());
  expect_law(pool, 0);
}

TEST(Reserve, AMaximumBelowTheStartIsRefused) {
  Options options = small_options(4 * kMiB);
  options.max_bytes = 2 * kMiB;
  EXPECT_THROW(Pool{options}, Error);
}

TEST(Reserve, EachArenaClimbsTheLadderFromTheTop) {
  Options options = growing(kMiB / 2, 16 * kMiB);
  options.pages = Pages::automatic;
  Pool pool(options);
  for (const Grade& grade : pool.grades()) EXPECT_EQ(grade.page_bytes, 4096U);
  pool.reserve(4 * kMiB * nodes());
  std::size_t grown = 0;
  for (const Grade& grade : pool.grades()) {
    if (grade.bytes != 4 * kMiB) continue;
    ++grown;
    EXPECT_EQ(grade.reason.find("no multiple of"), std::string::npos) << grade.reason;
    EXPECT_TRUE(grade.huge_tlb || grade.reason.find("free huge pages") != std::string::npos ||
                grade.reason.find("before Linux 5.14") != std::string::npos)
        << grade.reason;
    EXPECT_TRUE(grade.populated);
  }
  EXPECT_EQ(grown, nodes());
}

TEST(Reserve, WakesWhoeverWaits) {
  Pool pool(growing(2 * kMiB, 8 * kMiB));
  std::vector<Loan> loans = lend_all(pool, 16384);
  detail::Depot& depot = pool.state().home_depot(pool.state().classes().index_for(16384));
  std::array<testing::Bell, 3> bells;
  for (testing::Bell& bell : bells) ASSERT_TRUE(depot.enqueue_waiter(bell));
  for (testing::Bell& bell : bells) EXPECT_FALSE(bell.rang());
  pool.reserve(2 * kMiB * nodes());
  for (testing::Bell& bell : bells) {
    EXPECT_TRUE(bell.rang());
    EXPECT_FALSE(bell.waiting);
  }
  for (int i = 0; i < 3; ++i) {
    loans.push_back(pool.lend(16384));
    EXPECT_TRUE(loans.back()) << "there is one for each who was woken";
  }
  expect_law(pool, loans.size());
}

TEST(Reserve, WakesNobodyWhenItIsRefused) {
  Pool pool(small_options(2 * kMiB * nodes()));
  const std::vector<Loan> loans = lend_all(pool, 16384);
  detail::Depot& depot = pool.state().home_depot(pool.state().classes().index_for(16384));
  testing::Bell bell;
  ASSERT_TRUE(depot.enqueue_waiter(bell));
  EXPECT_NE(refusal(pool, 2 * kMiB * nodes()), "");
  EXPECT_FALSE(bell.rang());
  EXPECT_TRUE(bell.waiting);
  depot.remove_waiter(bell);
}

TEST(Trim, UnmapsWhatNobodyUses) {
  Pool pool(growing(2 * kMiB, 8 * kMiB));
  std::vector<Loan> loans = lend_all(pool, 4096);
  pool.reserve(4 * kMiB * nodes());
  std::vector<Loan> more = lend_all(pool, 4096);
  std::vector<const std::byte*> where;
  for (const Loan& loan : more) where.push_back(loan.data());
  for (const std::byte* address : where) ASSERT_EQ(rights_at(address).substr(0, 2), "rw");
  EXPECT_EQ(pool.trim(), 0U) << "all of it is in use";
  more.clear();
  EXPECT_EQ(pool.trim(), 4 * kMiB * nodes());
  EXPECT_EQ(pool.grades().size(), nodes());
  EXPECT_EQ(mapped_bytes(pool), 2 * kMiB * nodes());
  for (const std::byte* address : where) ASSERT_EQ(rights_at(address), "---p");
  expect_law(pool, loans.size());
  EXPECT_FALSE(pool.lend(4096));
  loans.pop_back();
  EXPECT_TRUE(pool.lend(4096));
  EXPECT_EQ(pool.trim(), 0U) << "the first arena of a node stays";
}

/// Bytes of the arenas in which none of the loans lies, but for the first of each node.
std::size_t unused_bytes(Pool& pool, const std::vector<Loan>& loans) {
  std::size_t bytes = 0;
  int node = -1;
  for (const detail::Arena& arena : pool.state().arenas()) {
    const bool used = std::any_of(loans.begin(), loans.end(), [&](const Loan& loan) {
      return loan.data() >= arena.base && loan.data() < arena.base + arena.grade.bytes;
    });
    if (!used && arena.grade.node == node) bytes += arena.grade.bytes;
    node = arena.grade.node;
  }
  return bytes;
}

TEST(Trim, LeavesArenasWithOneBufferInUse) {
  Pool pool(growing(2 * kMiB, 16 * kMiB));
  for (int i = 0; i < 3; ++i) pool.reserve(2 * kMiB * nodes());
  std::vector<Loan> kept = lend_all(pool, 4096);
  // Kept are the first, and some of the last 2 MiB.
  std::sort(kept.begin(), kept.end(), [](const Loan& a, const Loan& b) { return a.data() < b.data(); });
  const std::byte* const last = kept.back().data();
  for (std::size_t i = 1; i < kept.size(); ++i) {
    if (kept[i].data() + (2 * kMiB) < last || i % 3 != 0) kept[i] = Loan{};
  }
  std::erase_if(kept, [](const Loan& loan) { return !loan; });
  for (std::size_t i = 0; i < kept.size(); ++i) testing::mark(kept[i], static_cast<std::uint8_t>(i));
  const std::size_t unused = unused_bytes(pool, kept);
  EXPECT_GE(unused, 2 * 2 * kMiB) << "at least those between the first and the last";
  EXPECT_EQ(pool.trim(), unused);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    ASSERT_TRUE(testing::is_marked(kept[i], static_cast<std::uint8_t>(i)));
    ASSERT_EQ(rights_at(kept[i].data()).substr(0, 2), "rw");
  }
  expect_law(pool, kept.size());
  pool.reserve(2 * kMiB * nodes());
  EXPECT_EQ(lend_all(pool, 4096).size() + kept.size(), most_buffers(pool, 4096)) << "the gap is used again";
  kept.clear();
  pool.trim();
  EXPECT_EQ(pool.grades().size(), nodes());
  expect_law(pool, 0);
}

TEST(Trim, OfAFreshPoolIsNothing) {
  Pool pool(small_options());
  EXPECT_EQ(pool.trim(), 0U);
  EXPECT_EQ(pool.trim(), 0U);
  EXPECT_TRUE(pool.lend(1));
  expect_law(pool, 0);
}

TEST(Trim, EmptiesTheMagazinesOfTheCallerAndTheDepots) {
  Pool pool(small_options());
  lend_all(pool, 700).clear();
  lend_all(pool, 30'000).clear();
  pool.trim();
  EXPECT_EQ(pool.counts().capacity, 0U) << "nothing is cut that nobody uses";
  expect_law(pool, 0);
}

TEST(Trim, AndGrowAgainWorksForEver) {
  Pool pool(growing(2 * kMiB, 12 * kMiB));
  for (int round = 0; round < 20; ++round) {
    const std::size_t more = static_cast<std::size_t>(1 + round % 5) * 2 * kMiB;
    pool.reserve(more * nodes());
    const std::uint32_t bytes = pool.options().classes[static_cast<std::size_t>(round) % 8];
    std::vector<Loan> loans = lend_all(pool, bytes);
    ASSERT_EQ(loans.size(), most_buffers(pool, bytes));
    for (const Loan& loan : loans) testing::mark(loan, 0x42);
    for (const Loan& loan : loans) ASSERT_TRUE(testing::is_marked(loan, 0x42));
    loans.clear();
    ASSERT_EQ(pool.trim(), more * nodes());
    expect_law(pool, 0);
  }
}

TEST(Trim, AnotherThreadsMagazineKeepsItsArena) {
  Pool pool(growing(2 * kMiB, 8 * kMiB));
  std::vector<Loan> first = lend_all(pool, 4096);
  pool.reserve(2 * kMiB * nodes());
  std::latch dropped(1);
  std::latch end(1);
  std::thread idle([&] {
    std::array<Loan, 100> loans;  // enough that the class is not starved: the last stay in the magazine
    EXPECT_EQ(pool.lend_many(4096, loans), loans.size());
    drop_many(loans);
    dropped.count_down();
    end.wait();
  });
  dropped.wait();
  EXPECT_EQ(pool.trim(), 2 * kMiB * (nodes() - 1));
  end.count_down();
  idle.join();
  EXPECT_EQ(pool.trim(), 2 * kMiB);
  expect_law(pool, first.size());
}

TEST(Trim, WhileOthersLendAndThePoolGrows) {
  Pool pool(growing(2 * kMiB, 16 * kMiB));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const auto mark = static_cast<std::uint8_t>(i + 1);
      for (unsigned round = 0; !stop; ++round) {
        std::vector<Loan> loans(1 + (round % 300));
        const std::size_t lent = pool.lend_many((round * 37) % 20'000, loans);
        for (std::size_t j = 0; j < lent; ++j) loans[j].bytes().back() = loans[j].bytes().front() = std::byte{mark};
        for (std::size_t j = 0; j < lent; ++j) wrong += loans[j].bytes().back() != std::byte{mark};
        if (round % 2 == 0) drop_many(loans);
        if (round % 7 == 0) pool.flush();
      }
    });
  }
  for (int i = 0; i < 150; ++i) {
    (void)refusal(pool, 2 * kMiB * nodes() * static_cast<std::size_t>(1 + i % 3));
    if (i % 2 == 0) pool.trim();
    (void)pool.grades();
    (void)pool.counts();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  expect_law(pool, 0);
  pool.trim();
  EXPECT_EQ(mapped_bytes(pool), 2 * kMiB * nodes());
}

}  // namespace
}  // namespace weir
