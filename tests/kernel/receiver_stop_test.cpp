#include <gtest/gtest.h>

#include <csignal>

#include "kernel/world.h"

// Inflows that end by the user's will, at any moment.

namespace weir {
namespace {

using testing::Kind;
using testing::Peer;
using testing::receive_options;
using testing::SocketPair;
using testing::World;

class ReceiverStopTest : public testing::OnBothRings {
 protected:
  std::mt19937_64 random_{testing::seed() + 2U};
};
ON_BOTH_RINGS(ReceiverStopTest);

TEST_P(ReceiverStopTest, AnIdleOneIsSilentAfterIt) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = world.add();
  world.step();
  world.receiver->stop(peer);
  world.speak(peer, 1000);
  for (int i = 0; i < 10; ++i) world.step(std::chrono::milliseconds(1));
  EXPECT_EQ(peer.received, 0U);
  EXPECT_FALSE(peer.ended);
  world.end();
}

TEST_P(ReceiverStopTest, BeforeItsFirstTurnItIsNeverArmed) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = world.add();
  world.receiver->stop(peer);
  world.speak(peer, 100);
  for (int i = 0; i < 3; ++i) world.step();
  EXPECT_EQ(peer.received, 0U);
  EXPECT_FALSE(world.receiver->has_inflight());
  world.end();
}

TEST_P(ReceiverStopTest, WhileDataPoursInEveryBufferComesBack) {
  MAKE_WORLD(world, receive_options(1024, 64));
  for (int i = 0; i < 50; ++i) world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
  for (int round = 0; round < 200; ++round) {
    Peer& peer = *world.peers[random_() % world.peers.size()];
    for (const auto& each : world.peers) world.speak(*each, random_() % 2000);
    world.receiver->stop(peer);
    world.step();
  }
  world.run_until([&] { return world.pool.counts().user == 0; });
  world.end();
}

TEST_P(ReceiverStopTest, FromItsOwnHandlerTheRestIsDropped) {
  MAKE_WORLD(world, testing::from_ring(receive_options(512, 64)));
  Peer& peer = world.add();
  world.after_data = [&](Peer& each) { world.receiver->stop(each); };
  world.speak(peer, 30'000);
  for (int i = 0; i < 20; ++i) world.step(std::chrono::milliseconds(1));
  EXPECT_EQ(peer.received, 512U) << "called again after stop()";
  world.end();
}

TEST_P(ReceiverStopTest, AnInflowIsDestroyedInItsHandlerAndInAnothers) {
  MAKE_WORLD(world, receive_options(512, 64));
  for (int i = 0; i < 60; ++i) world.add();
  for (const auto& peer : world.peers) world.speak(*peer, 5000);
  int calls = 0;
  world.after_data = [&](Peer& peer) {
    ++calls;
    const auto self =
        std::find_if(world.peers.begin(), world.peers.end(), [&](auto& each) { return each.get() == &peer; });
    // Who has received everything gets no further chance: no handler is called for it any more.
    if (peer.whole() || random_() % 3 != 0) world.peers.erase(self);
    if (!world.peers.empty() && random_() % 2 == 0) {
      world.peers.erase(world.peers.begin() + static_cast<std::ptrdiff_t>(random_() % world.peers.size()));
    }
  };
  world.run_until([&] { return world.peers.empty(); });
  EXPECT_GT(calls, 1);
  world.end();
}

TEST_P(ReceiverStopTest, AnInflowIsDestroyedAtItsEnd) {
  MAKE_WORLD(world, receive_options(512, 64));
  for (int i = 0; i < 60; ++i) world.finish(world.add());
  world.after_end = [&](Peer& peer) { std::erase_if(world.peers, [&](auto& each) { return each.get() == &peer; }); };
  world.run_until([&] { return world.peers.empty(); });
  world.end();
}

TEST_P(ReceiverStopTest, StartsAgainAtOnceOnTheSameSocket) {
  MAKE_WORLD(world, receive_options(4096, 64));
  Peer& peer = world.add();
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 3; ++i) world.step();  // the cancelled receive takes nothing any more
    world.receiver->stop(peer);
    for (int i = 0; i < 3; ++i) world.step();
    world.receiver->start(peer, peer.sockets.near.get());
    world.speak(peer, 1000);
    world.run_until([&] { return peer.whole(); });
    ASSERT_FALSE(HasFatalFailure());
  }
  world.end();
}

TEST_P(ReceiverStopTest, OneThatStartsInAHandlerGetsNothingOfOneThatStopped) {
  if (!testing::files_allowed(1300)) GTEST_SKIP() << "the limit on open files is too low for 600 connections";
  MAKE_WORLD(world, receive_options(512, 64));
  for (int i = 0; i < 10; ++i) world.add();
  world.after_data = [&](Peer& peer) {
    if (random_() % 3 == 0) world.receiver->stop(peer);  // while more of its data is on the way
    if (world.peers.size() < 600) world.speak(world.add(), 3000);
  };
  for (const auto& peer : world.peers) world.speak(*peer, 5000);
  world.run_until([&] { return world.peers.size() == 600; });
  for (int i = 0; i < 10 && !HasFatalFailure(); ++i) world.step(std::chrono::milliseconds(1));
  world.end();
}

TEST_P(ReceiverStopTest, NothingStartsAfterTheEndOfAll) {
  MAKE_WORLD(world, receive_options(4096, 16));
  world.add();
  world.step();
  world.receiver->stop_all();
  const SocketPair sockets = SocketPair::local();
  Inflow late;
  try {
    world.receiver->start(late, sockets.near.get());
    FAIL() << "it would not hear anything";
  } catch (const Error& error) {
    EXPECT_EQ(error.code().value(), ESHUTDOWN) << error.what();
  }
  world.end();
}

class ReceiverStopDeathTest : public ReceiverStopTest {
 protected:
  ReceiverStopDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
ON_BOTH_RINGS(ReceiverStopDeathTest);

TEST_P(ReceiverStopDeathTest, AnInflowIsStartedTwice) {
  MAKE_WORLD(world, receive_options(512, 8));
  EXPECT_EXIT(
      {
        Peer& peer = world.add();
        world.receiver->start(peer, peer.sockets.near.get());
      },
      ::testing::KilledBySignal(SIGABRT), "weir: an inflow was started twice: stop it first");
  world.end();
}

}  // namespace
}  // namespace weir
