#include <gtest/gtest.h>
#include <weir/error.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>
#include <tuple>

#include "kernel/strategies.h"

// What every strategy promises, on both kinds of io_uring: all bytes, in order, once; the end; nothing after stop().

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::Kind;
using testing::Peer;
using testing::receive_options;
using testing::SocketPair;
using testing::World;

class StrategiesTest : public testing::WithEachStrategy {};
WITH_EACH_STRATEGY(StrategiesTest);

TEST_P(StrategiesTest, EveryByteOnceAndInOrder) {
  MAKE_WORLD(world, receive_options(4096, 64));
  for (int i = 0; i < 30; ++i) world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
  for (int i = 0; i < 3000 && !HasFatalFailure(); ++i) {
    const auto bytes = static_cast<std::size_t>(1) << random_() % 16;
    world.speak(*world.peers[random_() % world.peers.size()], 1 + random_() % bytes);
    if (random_() % 3 == 0) world.step();
  }
  for (const auto& peer : world.peers) world.finish(*peer);
  world.run_until([&] { return testing::all_ended(world); });
  for (const auto& peer : world.peers) {
    EXPECT_TRUE(peer->whole()) << peer->received << " of " << peer->sent;
    EXPECT_EQ(peer->error, 0);
  }
  world.end();
}

TEST_P(StrategiesTest, ALongStreamAgainstAReaderThatIsSlowerThanItsWriter) {
  MAKE_WORLD(world, receive_options(16384, 64));
  Peer& peer = world.add(Kind::tcp);
  while (peer.sent < (8u << 20) && !HasFatalFailure()) {
    world.speak(peer, 200'000);
    world.step();
  }
  world.run_until_whole();
  world.end();
}

TEST_P(StrategiesTest, AResetIsAnError) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = world.add(Kind::tcp);
  world.speak(peer, 100);
  world.run_until_whole();
  testing::close_with_reset(peer.sockets.far);
  world.run_until([&] { return peer.ended; });
  EXPECT_EQ(peer.error, ECONNRESET);
  world.end();
}

TEST_P(StrategiesTest, WhatIsNoSocketEndsWithItsError) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer nothing;
  Peer pipe_end;
  world.receiver->start(nothing, -1);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const testing::File reader(ends[0]);
  testing::File writer(ends[1]);
  world.receiver->start(pipe_end, reader.get());
  writer.reset();
  world.run_until([&] { return nothing.ended && pipe_end.ended; });
  EXPECT_EQ(nothing.error, EBADF);
  EXPECT_EQ(pipe_end.error, ENOTSOCK);
  world.end();
}

TEST_P(StrategiesTest, ASocketThatDoesNotBlockIsReceivedFromAsAnyOther) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = world.add();
  fcntl(peer.sockets.near.get(), F_SETFL, O_NONBLOCK);
  for (int i = 0; i < 50 && !HasFatalFailure(); ++i) {
    world.speak(peer, 1 + random_() % 9000);
    world.run_until_whole();
    world.step();
  }
  EXPECT_LT(world.completions, 1500U) << "it spins";
  world.end();
}

TEST_P(StrategiesTest, WhileNothingArrivesNothingHappens) {
  MAKE_WORLD(world, receive_options(4096, 16));
  for (int i = 0; i < 20; ++i) world.speak(world.add(), 1000);
  world.run_until_whole();
  for (int i = 0; i < 10; ++i) world.step();
  const std::uint64_t before = world.completions;
  for (int i = 0; i < 20; ++i) world.step(1ms);
  EXPECT_EQ(world.completions, before) << "it spins";
  testing::expect_law(world.pool, 0);
  world.end();
}

TEST_P(StrategiesTest, PauseHoldsTheSenderBackAndLosesNothing) {
  MAKE_WORLD(world, receive_options(4096, 64));
  Peer& peer = world.add();
  for (int round = 0; round < 20 && !HasFatalFailure(); ++round) {
    world.speak(peer, 1000);
    world.run_until_whole();
    if (round % 2 == 0) world.speak(peer, 3000);  // it may be on its way when the pause comes
    world.pause(peer);
    for (int i = 0; i < 4; ++i) world.step();
    const std::uint64_t before = peer.received;
    world.speak(peer, 5000);
    if (round == 19) world.finish(peer);
    for (int i = 0; i < 4; ++i) world.step();
    EXPECT_EQ(peer.received, before) << "received while paused";
    EXPECT_EQ(world.pool.counts().kernel_request, 0U) << "a paused connection holds a buffer";
    world.resume(peer);
    world.run_until_whole();
  }
  world.run_until([&] { return peer.ended; });
  EXPECT_EQ(peer.error, 0);
  world.end();
}

TEST_P(StrategiesTest, CancelsThatRaceWithDataLoseNothing) {
  MAKE_WORLD(world, receive_options(512, 8));
  for (int i = 0; i < 20; ++i) world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
  world.after_data = [&](Peer& peer) {
    if (random_() % 4 == 0) world.pause(peer);
    if (random_() % 4 == 0) world.resume(*world.peers[random_() % world.peers.size()]);
  };
  for (int i = 0; i < 5000 && !HasFatalFailure(); ++i) {
    Peer& peer = *world.peers[random_() % world.peers.size()];
    if (random_() % 2 == 0) world.pause(peer);
    world.speak(peer, 1 + random_() % 3000);
    if (random_() % 3 == 0) world.resume(*world.peers[random_() % world.peers.size()]);
    if (random_() % 2 == 0) world.step();
  }
  world.after_data = [](Peer&) {};
  for (const auto& peer : world.peers) world.resume(*peer);
  world.run_until_whole();
  world.end();
}

TEST_P(StrategiesTest, InflowsAreStoppedAndDestroyedInHandlers) {
  MAKE_WORLD(world, receive_options(512, 64));
  for (int i = 0; i < 60; ++i) world.add();
  for (const auto& peer : world.peers) world.speak(*peer, 5000);
  for (const auto& peer : world.peers) world.finish(*peer);
  const auto erase = [&](const Peer& peer) {
    std::erase_if(world.peers, [&](auto& each) { return each.get() == &peer; });
  };
  world.after_end = erase;
  world.after_data = [&](Peer& peer) {
    const std::uint64_t lot = random_() % 8;
    if (lot == 0) erase(peer);
    if (lot == 1 && !world.peers.empty()) erase(*world.peers[random_() % world.peers.size()]);
    if (lot == 2) world.pause(peer), world.resume(peer);
  };
  world.run_until([&] { return world.peers.empty(); });
  world.end();
}

/// A slot is used again only when the kernel has nothing of it, so that no completion finds another connection, and a
/// number of a file is no name of anything: neither needs a generation in the user data.
TEST_P(StrategiesTest, SlotsAndDescriptorsAreUsedAgainAtOnce) {
  MAKE_WORLD(world, receive_options(4096, 64));
  for (int round = 0; round < 300 && !HasFatalFailure(); ++round) {
    Peer& old = world.add();
    const int fd = old.sockets.near.get();
    if (round % 3 != 0) world.step();
    world.speak(old, 1 + random_() % 2000);
    if (round % 2 == 0) world.step();
    world.receiver->stop(old);
    old.sockets.near.reset();
    Peer& fresh = world.add();
    EXPECT_EQ(fresh.sockets.near.get(), fd) << "the test shall use the same number again";
    world.speak(fresh, 3000);
    const std::uint64_t before = old.received;
    world.run_until([&] { return fresh.whole(); });
    EXPECT_EQ(old.received, before);
    world.receiver->stop(fresh);
    world.peers.clear();
  }
  world.end();
}

TEST_P(StrategiesTest, ThousandsComeAndGo) {
  MAKE_WORLD(world, receive_options(512, 32));
  for (int i = 0; i < 4000 && !HasFatalFailure(); ++i) {
    Peer& peer = world.add();
    if (random_() % 2 == 0) world.speak(peer, random_() % 2000);
    if (random_() % 4 == 0) world.finish(peer);
    if (random_() % 3 == 0) world.step();
    while (world.peers.size() > 40) {
      world.peers.erase(world.peers.begin() + static_cast<std::ptrdiff_t>(random_() % world.peers.size()));
    }
  }
  world.end();
}

TEST_P(StrategiesTest, ShortQueuesDelayAndLoseNothing) {
  for (const unsigned completions : {512U, 4U}) {
    MAKE_WORLD(world, receive_options(1024, 64), 4, completions);
    for (int i = 0; i < 100; ++i) world.add();
    for (int round = 0; round < 5; ++round) {
      for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 4000);
      world.run_until_whole();
      for (const auto& peer : world.peers) world.pause(*peer);
      for (const auto& peer : world.peers) world.resume(*peer);
    }
    world.end();
  }
}

/// On one kind of io_uring, for each loses one of the 16 pools of a process.
class DestroyedTooEarlyTest : public testing::WithEachStrategy {};
INSTANTIATE_TEST_SUITE_P(Each, DestroyedTooEarlyTest,
                         ::testing::Combine(::testing::ValuesIn(testing::kStrategies), ::testing::Values(0U)),
                         testing::name_of_case);

/// Destroyed while the kernel may still write: said, and the memory stays mapped, counted and unlent.
TEST_P(DestroyedTooEarlyTest, ItLosesWhatTheKernelHas) {
  SocketPair sockets = SocketPair::local();
  testing::Ring ring(64, flags());
  Options options = receive_options(1024, 8);
  options.recv = strategy();
  const std::string missing = testing::has_ring(strategy()) ? ring.missing_multishot() : ring.missing();
  if (!missing.empty()) GTEST_SKIP() << missing;
  auto pool = std::make_unique<Pool>(options);
  auto receiver = std::make_unique<Receiver>(*pool, ring.get());
  {
    Inflow inflow;
    receiver->start(inflow, sockets.near.get());
    receiver->turn();
    io_uring_submit(&ring.get());
  }
  const std::uint64_t lost = pool->counts().kernel_ring + pool->counts().kernel_request;
  const bool holds = strategy() == Strategy::direct || testing::fills_ring(strategy());
  EXPECT_EQ(lost > 0, holds);
  ::testing::internal::CaptureStderr();
  receiver.reset();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("with 1 requests in flight: " + std::to_string(lost) + " buffers are lost"), std::string::npos)
      << said;
  EXPECT_EQ(pool->counts().kernel_ring + pool->counts().kernel_request, lost);
  testing::expect_law(*pool, 0);
  pool.reset();
  const std::string text(1000, 'w');
  EXPECT_EQ(send(sockets.far.get(), text.data(), text.size(), 0), 1000);  // into the lost buffer, where there is one
  const int result = ring.complete().res;
  EXPECT_TRUE(testing::is_lazy(strategy()) ? result == -ENOBUFS : result > 0) << result;
  Pool after(testing::small_options());
  testing::expect_law(after, 0);
}

TEST(MixedStrategies, ShareOneReceiver) {
  Options options = receive_options(4096, 16);
  options.recv = Strategy::poll_recv;
  World world(options, {});
  if (!world.missing.empty()) GTEST_SKIP() << world.missing;
  const bool can_ring = world.ring.missing_multishot().empty();
  if (!can_ring) {
    Inflow inflow;
    EXPECT_THROW(world.receiver->start(inflow, 0, Strategy::ring), Error);
  }
  std::mt19937_64 random{testing::seed() + 5U};
  for (int i = 0; i < 40; ++i) {
    const Strategy strategy = testing::kStrategies.at(static_cast<std::size_t>(i) % testing::kStrategies.size());
    world.add(i % 3 == 0 ? Kind::local : Kind::tcp, can_ring ? strategy : Strategy::poll_first);
  }
  for (int i = 0; i < 2000 && !::testing::Test::HasFatalFailure(); ++i) {
    world.speak(*world.peers[random() % world.peers.size()], 1 + random() % 9000);
    if (random() % 3 == 0) world.step();
  }
  world.run_until_whole();
  world.end();
}

TEST(AutomaticStrategy, WorksOnEveryKernel) {
  World world(receive_options(4096, 16), {});
  if (const std::string missing = world.ring.missing(); !missing.empty()) GTEST_SKIP() << missing;
  if (!world.receiver) world.receiver = std::make_unique<Receiver>(world.pool, world.ring.get());
  Peer& peer = world.add();
  world.speak(peer, 50'000);
  world.finish(peer);
  world.run_until([&] { return peer.ended; });
  EXPECT_TRUE(peer.whole());
  EXPECT_EQ(world.pool.counts().kernel_ring > 0, world.missing.empty())
      << "a ring where the kernel can, and only there";
  world.end();
}

}  // namespace
}  // namespace weir
