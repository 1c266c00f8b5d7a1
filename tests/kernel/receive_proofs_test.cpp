#include <gtest/gtest.h>

#include "kernel/far_ends.h"
#include "kernel/strategies.h"
#include "seed.h"

// The large proofs: what is promised of ten thousand connections, and of one that is greedy.

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::Peer;
using testing::take_all_but;
using testing::World;

/// How much each of many says: mostly what fits a buffer, sometimes more.
std::size_t bytes_of(std::size_t i) { return i % 100 == 0 ? 10'000 : 1 + i * 37 % 300; }

void say_stream(int far, std::uint64_t id, std::size_t bytes) {
  const std::vector<std::byte> text = testing::stream_bytes(id, 0, bytes);
  if (send(far, text.data(), bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes)) std::_Exit(1);
}

class WakeTest : public testing::WithEachStrategy {};
INSTANTIATE_TEST_SUITE_P(Each, WakeTest,
                         ::testing::Combine(::testing::ValuesIn(testing::kStrategies),
                                            ::testing::Values(testing::kDeferred)),
                         testing::name_of_case);
INSTANTIATE_TEST_SUITE_P(One, WakeTest, ::testing::Values(testing::StrategyCase{testing::kStrategies.front(), 0U}),
                         testing::name_of_case);

TEST_P(WakeTest, TenThousandWhoWereIdleAreServedBySixtyFourBuffers) {
  constexpr auto kMany = static_cast<std::size_t>(std::max(testing::steps(10'000), 1000));
  constexpr std::uint32_t kBuffers = 64;
  if (!testing::files_allowed(kMany + 100)) {
    GTEST_SKIP() << "10,000 connections need `ulimit -n 10100`";
  }
  testing::FarEnds far(kMany, [](int end, std::size_t i) { say_stream(end, i + 1, bytes_of(i)); });
  MAKE_WORLD(world, scarce(kBuffers, kBuffers), 256, 4096);
  const std::vector<Loan> held = take_all_but(world, kBuffers);
  for (testing::File& near : far.near()) {
    Peer& peer = *world.peers.emplace_back(std::make_unique<Peer>());
    peer.id = world.peers.size();
    peer.sockets.near = std::move(near);
    world.receiver->start(peer, peer.sockets.near.get());
  }
  world.step();
  world.run_until([&] { return world.receiver->next_deadline() == World::Clock::time_point::max(); });
  for (int i = 0; i < 3; ++i) world.step();
  EXPECT_EQ(world.pool.counts().kernel_request, 0U) << "an idle connection holds a buffer";
  EXPECT_LE(world.pool.counts().kernel_ring, testing::has_ring(strategy()) ? kBuffers : 0U);
  testing::expect_law(world.pool, held.size());

  far.speak_all();
  std::uint64_t most = 0;
  world.after_data = [&](Peer&) {
    const Counts counts = world.pool.counts();
    most = std::max(most, counts.user - held.size() + counts.kernel_ring + counts.kernel_request);
  };
  for (const auto& peer : world.peers) peer->sent = bytes_of(peer->id - 1);
  world.run_until_whole();
  EXPECT_LE(most, kBuffers);
  EXPECT_LE(world.enobufs, 2 * kMany) << "a storm of receives that find no buffer";
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
  testing::expect_law(world.pool, held.size());
}

TEST_P(WakeTest, OneWhoWasIdleIsServedByARingThatHasEveryBuffer) {
  constexpr std::uint32_t kBuffers = 4;
  MAKE_WORLD(world, scarce(kBuffers, kBuffers));
  const std::vector<Loan> held = take_all_but(world, kBuffers);
  Peer& peer = world.add();
  world.step();
  world.run_until([&] { return world.receiver->next_deadline() == World::Clock::time_point::max(); });
  for (int i = 0; i < 3; ++i) world.step();
  world.speak(peer, 50'000);
  world.run_until_whole();
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
}

/// While a modest one waits: what the ring held when it was parked, and one for the greedy one's own turn before it.
constexpr std::uint64_t greedy_bound(std::uint64_t entries) { return entries + 1; }

class GreedyTest : public testing::WithEachStrategy {
 protected:
  /// A socket that is never empty.
  static void flood(World& world, Peer& peer) {
    for (std::uint64_t before = UINT64_MAX; before != peer.sent;) {
      before = peer.sent;
      world.speak(peer, 65536);
    }
  }
};
WITH_EACH_STRATEGY(GreedyTest);

TEST_P(GreedyTest, OneWhoNeverStopsDoesNotStarveTheModest) {
  // A ring that the greedy one's socket can drain, so that there is a shortage.
  const bool large = strategy() == Strategy::ring_incremental;
  for (const std::uint32_t entries : large ? std::array{1U, 2U} : std::array{4U, 16U}) {
    MAKE_WORLD(world, scarce(entries, entries), 64, 512);
    const std::vector<Loan> held = take_all_but(world, entries);
    Peer& greedy = world.add();
    for (int i = 0; i < 20; ++i) world.add();
    std::uint64_t most = 0;                                     // bytes of the greedy one while another waited
    std::vector<std::uint64_t> before(world.peers.size() + 1);  // bytes of the greedy one when that one spoke
    world.after_data = [&](Peer& peer) {
      if (&peer != &greedy) most = std::max(most, greedy.received - before[peer.id]);
    };
    for (int round = 0; round < testing::steps(200) && !HasFatalFailure(); ++round) {
      flood(world, greedy);
      for (const auto& peer : world.peers) {
        if (!peer->whole() || random_() % 4 != 0) continue;
        before[peer->id] = greedy.received;
        world.speak(*peer, 1 + random_() % 2000);
      }
      world.step();
    }
    EXPECT_GT(greedy.received, 0U);
    const std::uint64_t buffer = world.pool.options().receive_bytes;
    EXPECT_LE(most, greedy_bound(entries) * buffer) << "for the greedy one while another waited";
    printf("a ring of %u: the greedy one got at most %.1f buffers while another waited, %.0f in all\n", entries,
           static_cast<double>(most) / static_cast<double>(buffer),
           static_cast<double>(greedy.received) / static_cast<double>(buffer));
    world.run_until_whole();
    world.receiver->stop_all();
    world.run_until([&] { return !world.receiver->has_inflight(); });
    testing::expect_law(world.pool, held.size());
  }
}

}  // namespace
}  // namespace weir
