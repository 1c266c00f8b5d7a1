#include <gtest/gtest.h>
#include <sched.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "os/memory.h"
#include "os/numa.h"
#include "pool_limits.h"
#include "pool_testing.h"

// What a pool does on several NUMA nodes.

namespace weir {
namespace {

using testing::expect_law;
using testing::lend_all;
using testing::most_buffers;
using testing::small_options;

/// Moves the calling thread to a CPU whose home is the node. False when there is none.
bool move_to(unsigned node) {
  for (int cpu = 0; cpu < 256; ++cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0 && os::home_node_index() == node) return true;
  }
  return false;
}

/// Runs the work in a thread on the node.
void on_node(unsigned node, const std::function<void()>& work) {
  std::thread([&] {
    EXPECT_TRUE(move_to(node));
    work();
  }).join();
}

/// The node that backs the buffer, by the kernel.
int node_of(const Loan& loan) {
  std::array<void*, 1> address{loan.data()};
  std::array<int, 1> node{-1};
  EXPECT_EQ(os::query_nodes(address, node), 0);
  return node[0];
}

std::size_t count_on(const std::vector<Loan>& loans, int node) {
  return static_cast<std::size_t>(
      std::count_if(loans.begin(), loans.end(), [&](const Loan& loan) { return node_of(loan) == node; }));
}

class PoolNodes : public ::testing::Test {
 protected:
  void SetUp() override {
    if (os::memory_nodes().size() < 2)
      GTEST_SKIP() << "one NUMA node here: run it in a guest, by tests/guest/weir-guest --nodes 2";
    bool reached = true;
    std::thread([&] { reached = move_to(0) && move_to(1); }).join();
    if (!reached) GTEST_SKIP() << "a node has no CPU that this process may use";
  }
  static int system_node(unsigned index) { return os::memory_nodes()[index]; }

  Pool pool_{small_options(os::memory_nodes().size() * (2u << 20))};
};

TEST_F(PoolNodes, EachThreadIsLentMemoryOfItsNode) {
  for (const unsigned node : {0U, 1U}) {
    on_node(node, [&] {
      std::vector<Loan> loans;
      for (std::size_t i = 0; i < 200; ++i) loans.push_back(pool_.lend(i * 20));
      EXPECT_EQ(count_on(loans, system_node(node)), loans.size());
      std::vector<Loan> many(100);
      ASSERT_EQ(pool_.lend_many(2000, many), many.size());
      EXPECT_EQ(count_on(many, system_node(node)), many.size());
      const Loan page = pool_.lend_pages(4096);
      EXPECT_EQ(node_of(page), system_node(node));
      EXPECT_EQ(node_of(pool_.lane(10'000).lend()), system_node(node));
    });
  }
  expect_law(pool_, 0);
}

TEST_F(PoolNodes, AnEmptyNodeBorrowsFromTheOther) {
  on_node(0, [&] {
    const std::vector<Loan> loans = lend_all(pool_, 4096);
    EXPECT_EQ(loans.size(), most_buffers(pool_, 4096));
    const std::size_t near = count_on(loans, system_node(0));
    EXPECT_GT(near, 0U);
    EXPECT_GT(count_on(loans, system_node(1)), 0U);
    for (std::size_t i = 0; i < near; ++i) ASSERT_EQ(node_of(loans[i]), system_node(0)) << "the own node comes first";
  });
  expect_law(pool_, 0);
}

/// One thread lends on its node, another drops on the other, and never gets those buffers itself.
TEST_F(PoolNodes, ADropOnAnotherNodeGoesHome) {
  for (int round = 0; round < 20; ++round) {
    std::vector<Loan> loans(300);
    on_node(0, [&] { ASSERT_EQ(pool_.lend_many(4096, loans), loans.size()); });
    ASSERT_EQ(count_on(loans, system_node(0)), loans.size());
    on_node(1, [&] {
      if (round % 2 == 0) {
        drop_many(loans);
      } else {
        loans.clear();
      }
      std::vector<Loan> own;
      for (int i = 0; i < 200; ++i) own.push_back(pool_.lend(4096));
      EXPECT_EQ(count_on(own, system_node(1)), own.size()) << "what it dropped was not of its node";
    });
    expect_law(pool_, 0);
  }
}

/// While the thread that dropped still lives, and after it flushed.
TEST_F(PoolNodes, WhatAnotherNodeDroppedIsThereForItsOwn) {
  std::vector<Loan> loans;
  on_node(0, [&] {
    while (true) {
      Loan loan = pool_.lend(4096);
      if (node_of(loan) != system_node(0)) break;
      loans.push_back(std::move(loan));
    }
  });
  const std::size_t whole_node = loans.size();
  std::latch flushed(1);
  std::latch end(1);
  std::thread far([&] {
    EXPECT_TRUE(move_to(1));
    drop_many(loans);
    pool_.flush();
    flushed.count_down();
    end.wait();
  });
  flushed.wait();
  on_node(0, [&] {
    std::vector<Loan> again(whole_node);
    EXPECT_EQ(pool_.lend_many(4096, again), whole_node);
    EXPECT_EQ(count_on(again, system_node(0)), whole_node);
  });
  end.count_down();
  far.join();
  expect_law(pool_, 0);
}

TEST_F(PoolNodes, AThreadThatMovesLendsWhereItIsNow) {
  on_node(0, [&] {
    std::vector<Loan> before(50);
    ASSERT_EQ(pool_.lend_many(1024, before), before.size());
    drop_many(before);
    ASSERT_TRUE(move_to(1));
    pool_.flush();
    std::vector<Loan> after;
    for (int i = 0; i < 500; ++i) after.push_back(pool_.lend(1024));
    EXPECT_EQ(count_on(after, system_node(1)), after.size());
  });
  expect_law(pool_, 0);
}

TEST_F(PoolNodes, SlabsOfEveryNodeChangeClass) {
  on_node(0, [&] {
    for (const std::uint32_t bytes : {512U, 65536U, 4096U, 16384U}) {
      EXPECT_EQ(lend_all(pool_, bytes).size(), most_buffers(pool_, bytes)) << bytes;
      pool_.flush();
    }
  });
  expect_law(pool_, 0);
}

TEST_F(PoolNodes, AdoptKnowsTheNode) {
  for (const unsigned node : {0U, 1U}) {
    std::byte* raw = nullptr;
    on_node(node, [&] { raw = pool_.lend(5000).release(); });
    on_node(1 - node, [&] {
      const Loan loan = pool_.adopt(raw);
      EXPECT_EQ(loan.size(), 8192U);
      EXPECT_EQ(node_of(loan), system_node(node));
    });
  }
  expect_law(pool_, 0);
}

TEST_F(PoolNodes, ALaneOfANodeLendsItsMemoryToAllThreads) {
  for (const unsigned node : {0U, 1U}) {
    NodeLane lane = pool_.lane(4096, system_node(node));
    std::size_t own = 0;
    on_node(1 - node, [&] {
      std::vector<Loan> loans;
      while (Loan loan = lane.lend()) loans.push_back(std::move(loan));
      own = loans.size();
      EXPECT_EQ(count_on(loans, system_node(node)), loans.size());
      EXPECT_TRUE(pool_.lend(4096)) << "the thread's own node has all";
    });
    EXPECT_EQ(own * os::memory_nodes().size(), most_buffers(pool_, 4096));
  }
  expect_law(pool_, 0);
}

TEST_F(PoolNodes, ThreadsOfANodeWithoutMemoryAreLentTheNearest) {
  Options options = small_options(2u << 20);
  options.nodes = {system_node(1)};
  Pool pool(options);
  for (const Grade& grade : pool.grades()) EXPECT_EQ(grade.node, system_node(1));
  for (const unsigned node : {0U, 1U}) {
    on_node(node, [&] {
      const std::vector<Loan> loans = lend_all(pool, 4096);
      EXPECT_EQ(loans.size(), most_buffers(pool, 4096)) << "slabs change the node that lends them";
      EXPECT_EQ(count_on(loans, system_node(1)), loans.size());
      pool.flush();
    });
  }
  on_node(0, [&] {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.lend(1024));
    EXPECT_GT(pool.counts().cached, 0U) << "it has magazines as any other";
  });
  EXPECT_THROW(pool.lane(4096, system_node(0)), Error);
  expect_law(pool, 0);
}

TEST_F(PoolNodes, InterleavingLendsOfAllNodesAlike) {
  Options options = small_options(os::memory_nodes().size() * (4u << 20));
  options.placement = Placement::interleave;
  Pool pool(options);
  on_node(0, [&] {
    std::vector<Loan> loans;
    for (std::size_t i = 0; i < most_buffers(pool, 4096) / 2; ++i) loans.push_back(pool.lend(4096));
    const std::size_t part = loans.size() / os::memory_nodes().size();
    for (const int node : os::memory_nodes()) {
      EXPECT_GT(count_on(loans, node), part / 2) << node;
      EXPECT_LT(count_on(loans, node), part * 3 / 2) << node;
    }
  });
  expect_law(pool, 0);
}

/// Pools that have all huge pages of the node.
std::vector<std::unique_ptr<Pool>> take_huge_pages(int node) {
  Options options;
  options.pages = Pages::huge_2m;
  options.strict = true;
  options.nodes = {node};
  std::vector<std::unique_ptr<Pool>> takers;
  for (const std::size_t bytes : {16U << 20, 2U << 20}) {
    options.bytes = bytes;
    try {
      for (int i = 0; i < 8; ++i) takers.push_back(std::make_unique<Pool>(options));
    } catch (const Error&) {
      continue;
    }
    ADD_FAILURE() << "node " << node << " has too many huge pages for this test";
  }
  return takers;
}

/// One has huge pages and the other not.
TEST_F(PoolNodes, GrowthThatOneNodeRefusesIsNone) {
  Options options = small_options(os::memory_nodes().size() * (2u << 20));
  options.max_bytes = 8 * options.bytes;
  options.pages = Pages::huge_2m;
  options.strict = true;
  std::unique_ptr<Pool> pool;
  try {
    pool = std::make_unique<Pool>(options);
    pool->reserve(options.bytes);
    pool->trim();
  } catch (const Error& error) {
    GTEST_SKIP() << "this needs two huge pages on each node: " << error.what();
  }
  auto takers = take_huge_pages(system_node(1));
  const std::vector<Loan> loans = lend_all(*pool, 65536);
  for (int i = 0; i < 5; ++i) EXPECT_THROW(pool->reserve(options.bytes), Error);
  EXPECT_EQ(testing::mapped_bytes(*pool), options.bytes);
  EXPECT_FALSE(pool->lend(65536));
  takers.clear();
  pool->reserve(options.bytes);
  EXPECT_EQ(testing::mapped_bytes(*pool), 2 * options.bytes);
  EXPECT_TRUE(pool->lend(65536));
  expect_law(*pool, loans.size());
}

TEST_F(PoolNodes, TheNodeThatIsShortGrows) {
  Options options = testing::one_class(os::memory_nodes().size() << 20, 65536);
  options.max_bytes = 4 * options.bytes;
  options.grow_bytes = 1u << 20;
  Pool pool(options);
  on_node(1, [&] {
    NodeLane lane = pool.lane(1, system_node(1));
    std::vector<Loan> loans;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (loans.size() < 40 && std::chrono::steady_clock::now() < end) {
      if (Loan loan = lane.lend()) loans.push_back(std::move(loan));
    }
    EXPECT_EQ(loans.size(), 40U) << "16 at the start";
    EXPECT_EQ(count_on(loans, system_node(1)), loans.size());
  });
  for (const Grade& grade : pool.grades()) EXPECT_EQ(grade.bytes, 1u << 20);
  const std::vector<Grade> grades = pool.grades();
  EXPECT_EQ(std::count_if(grades.begin(), grades.end(), [](auto& grade) { return grade.node == system_node(0); }), 1);
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
