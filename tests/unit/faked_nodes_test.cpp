#include <gtest/gtest.h>
#include <weir/pool.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "core/magazines.h"
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

TEST_F(FakedNodes, ANodeOfAnyNumberLends) {
  Pool pool(quiet_options(4 * kMiB));
  ASSERT_EQ(pool.grades().size(), 2U);
  EXPECT_EQ(pool.grades().back().node, kFarNode);
  EXPECT_TRUE(pool.lane(4096, kFarNode).lend());
  expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
