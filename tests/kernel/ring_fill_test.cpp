#include <algorithm>

#include "kernel/world.h"

// How many buffers a receiver's rings hold ready.

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::OnBothRings;
using testing::Peer;
using testing::World;

constexpr std::uint32_t kBytes = 4096;
constexpr std::uint32_t kEntries = 256;

Options from_depot(Strategy strategy, std::size_t pool_bytes = 8u << 20) {
  Options options = testing::receive_options(kBytes, kEntries, pool_bytes);
  options.recv = strategy;
  options.idle_ms = 20;
  return options;
}

/// All speak `bytes` at once, until all of it has come.
void speak_all(World& world, std::size_t bytes) {
  for (const auto& peer : world.peers) world.speak(*peer, bytes);
  world.run_until_whole();
}

std::uint64_t filled(const World& world) { return world.pool.counts().kernel_ring; }

/// Tries again and again, since a pause of the machine may let a ring be withdrawn. False when it does not come.
bool holds_once(World& world, const std::function<bool()>& tried) {
  const auto end = World::Clock::now() + world.patience;
  while (!tried()) {
    if (World::Clock::now() > end) return false;
  }
  return true;
}

class StockTest : public OnBothRings {};
ON_BOTH_RINGS(StockTest);

TEST_P(StockTest, ItFollowsDemand) {
  MAKE_WORLD(world, from_depot(Strategy::ring));
  for (int i = 0; i < 100; ++i) world.add();
  world.step();
  const std::uint64_t at_first = filled(world);
  EXPECT_GT(at_first, 0U);
  std::uint64_t most = 0;  // of what came between two turns
  const auto follows = [&] {
    for (const auto& peer : world.peers) world.speak(*peer, 1000);
    const std::uint64_t before = world.completions;
    world.step();
    most = std::max(most, world.completions - before);
    world.run_until_whole();
    world.step();
    return most > at_first && filled(world) >= most;
  };
  EXPECT_TRUE(holds_once(world, follows)) << filled(world) << " for " << most << ", and " << at_first << " at first";
  const auto end = World::Clock::now() + 10s;
  while (filled(world) > at_first && World::Clock::now() < end) {  // one at a time from now on
    for (const auto& peer : world.peers) {
      world.speak(*peer, 1000);
      world.run_until_whole();
    }
  }
  EXPECT_LE(filled(world), at_first);
  world.end();
}

TEST_P(StockTest, OfARingThatNobodyUsesItComesHome) {
  for (const Strategy strategy : {Strategy::ring, Strategy::ring_sized, Strategy::ring_adaptive}) {
    MAKE_WORLD(world, from_depot(strategy));
    for (int i = 0; i < 20; ++i) world.add();
    for (int round = 0; round < 3; ++round) {
      EXPECT_TRUE(holds_once(world, [&] { return speak_all(world, 1000), filled(world) > 0; })) << name_of(strategy);
      world.run_until([&] { return filled(world) == 0; });
      testing::expect_law(world.pool, 0);
    }
    world.end();
  }
}

/// Slices of a buffer that came home with its ring are good until they are dropped.
TEST_P(StockTest, SlicesOutliveIt) {
  Options options = testing::receive_options(65536, 4);
  options.recv = Strategy::ring_incremental;
  options.idle_ms = 20;
  MAKE_WORLD(world, options);
  Peer& peer = world.add();
  world.keep = true;
  world.speak(peer, 1000);
  world.run_until_whole();
  world.run_until([&] { return filled(world) == 0; });
  ASSERT_EQ(world.kept.size(), 1U);
  EXPECT_EQ(testing::stream_match(peer.id, 0, world.kept.front().bytes()), 1000U);
  EXPECT_GT(world.pool.counts().user, 0U);
  world.kept.clear();
  testing::expect_law(world.pool, 0);
  world.speak(peer, 1000);
  world.run_until_whole();
  world.end();
}

/// The rings of two io_urings, of which one came first and wants all there is.
TEST_P(StockTest, RingsInUseHaveEqualShares) {
  constexpr std::size_t kPool = 512 * 1024;
  Options options = from_depot(Strategy::ring, kPool);
  options.idle_ms = 0;
  MAKE_WORLD(world, options);
  testing::Ring other_ring(64, GetParam());
  auto other = std::make_unique<Receiver>(world.pool, other_ring.get());
  for (int i = 0; i < 200; ++i) world.add();
  for (int round = 0; round < 5; ++round) speak_all(world, 1000);
  world.step();
  const std::uint64_t alone = filled(world);
  EXPECT_GT(alone, kPool / kBytes / 4);
  EXPECT_LE(alone, kPool / kBytes / 2);

  Peer peer;
  peer.sockets = testing::SocketPair::local();
  other->start(peer, peer.sockets.near.get());
  other->turn();
  for (int round = 0; round < 20; ++round) speak_all(world, 1000);
  world.step();
  const std::uint64_t both = filled(world);
  EXPECT_LE(both, kPool / kBytes / 2);
  other->stop_all();
  while (other->has_inflight()) {
    other->turn();
    other->complete(other_ring.complete(), [](Inflow&, Received) {});
  }
  EXPECT_LE(filled(world), (kPool / kBytes / 4) + (kEntries / 8)) << "the first has kept what both should share";
  other.reset();
  world.end();
}

}  // namespace
}  // namespace weir
