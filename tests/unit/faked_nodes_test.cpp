#include <gtest/gtest.h>
#include <weir/pool.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "cache/magazines.h"
#include "faked_nodes.h"
#include "pool_limits.h"
#include "pool_testing.h"
#include "slab/pool_state.h"

// What a pool does on several NUMA nodes, on a machine that has perhaps one.

namespace weir {
namespace {

using testing::expect_law;
using testing::run_on_node;
using testing::small_options;
using namespace std::chrono_literals;

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// The node's number is more than a word has bits.
constexpr int kFarNode = 70;

class FakedNodes : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { testing::fake_nodes({0, kFarNode}); }

  static Options quiet_options(std::size_t bytes) {
    Options options = small_options(bytes);
    options.alerts = Alerts::off;  // its memory is not on those nodes
    return options;
  }
};

detail::Magazine& magazine_of(const Loan& loan) { return detail::thread_lanes.at(detail::LoanParts::lane_of(loan)); }

/// In how many buffers a full magazine ends up with the next drop, on a thread that lends and drops.
std::uint64_t left_by_a_full_one(NodeLane lane) {
  std::vector<Loan> loans;
  for (int i = 0; i < 4000; ++i) loans.push_back(lane.lend());
  detail::Magazine& magazine = magazine_of(loans.back());
  while (magazine.limit < 64) loans.pop_back();  // it grows with use
  while (magazine.count() > 0) loans.push_back(lane.lend());
  while (magazine.count() < magazine.limit) loans.pop_back();
  loans.pop_back();
  return magazine.count();
}

TEST_F(FakedNodes, HalfOfAFullMagazineStaysOnItsNodeAndNothingElsewhere) {
  Pool pool(quiet_options(64 * kMiB));
  for (const unsigned node : {0U, 1U}) {
    std::thread([&] {
      run_on_node(node);
      { const Loan first = pool.lend(4096); }
      EXPECT_GE(left_by_a_full_one(pool.lane(4096, node == 0 ? 0 : kFarNode)), 32U) << "its own node's, on " << node;
      EXPECT_EQ(left_by_a_full_one(pool.lane(4096, node == 0 ? kFarNode : 0)), 1U) << "the other's, on " << node;
    }).join();
  }
  expect_law(pool, 0);
}

std::size_t mapped_on(const Pool& pool, int node) {
  std::size_t bytes = 0;
  for (const Grade& grade : pool.grades()) bytes += grade.node == node ? grade.bytes : 0;
  return bytes;
}

/// Lends until nothing comes, and goes on asking for a while.
void keep_asking(NodeLane lane, std::vector<Loan>& loans, std::chrono::milliseconds time) {
  for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;) {
    loans.push_back(lane.lend());
    if (loans.back()) continue;
    loans.pop_back();
    std::this_thread::sleep_for(1ms);
  }
}

/// The first node was at its limit for so long that it is tried again only much later: the other one does not wait for
/// that. Then the first may grow again, which shows that it was not tried.
TEST_F(FakedNodes, ANodeAtItsLimitDoesNotKeepAnotherFromGrowing) {
  Options options = quiet_options(4 * kMiB);
  options.classes = {65536};
  options.page_classes = {};
  options.slab_bytes = 65536;
  options.max_bytes = 64 * kMiB;
  options.node_max_bytes = 6 * kMiB;
  options.grow_bytes = 2 * kMiB;
  bool alone = false;
  for (int round = 0; round < 5 && !alone; ++round) {
    Pool pool(options);
    std::vector<Loan> near;
    std::vector<Loan> far;
    keep_asking(pool.lane(1, 0), near, 1600ms);
    ASSERT_EQ(mapped_on(pool, 0), options.node_max_bytes);
    std::ranges::sort(near, {}, [](const Loan& loan) { return loan.data(); });
    near.resize(near.size() * 2 / 3);
    ASSERT_EQ(pool.trim(), 2 * kMiB);
    keep_asking(pool.lane(1, 0), near, 10ms);
    while (mapped_on(pool, kFarNode) == 2 * kMiB) keep_asking(pool.lane(1, kFarNode), far, 1ms);
    alone = mapped_on(pool, 0) < options.node_max_bytes;
  }
  EXPECT_TRUE(alone) << "it always grew after the other was tried again";
}

TEST_F(FakedNodes, ANodeOfAnyNumberLends) {
  Pool pool(quiet_options(4 * kMiB));
  ASSERT_EQ(pool.grades().size(), 2U);
  EXPECT_EQ(pool.grades().back().node, kFarNode);
  EXPECT_TRUE(pool.lane(4096, kFarNode).lend());
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
