#include <gtest/gtest.h>
#include <weir/error.h>

#include <cerrno>

#include "kernel/world.h"

// What arrives: every byte once, in order, for the right connection, and then the end.

namespace weir {
namespace {

using testing::Kind;
using testing::Peer;
using testing::receive_options;
using testing::SocketPair;
using testing::World;

class ReceiverTest : public testing::OnBothRings {
 protected:
  std::mt19937_64 random_{testing::seed() + 1U};
};
ON_BOTH_RINGS(ReceiverTest);

TEST_P(ReceiverTest, WhatIsHeldIsNotWrittenAgain) {
  MAKE_WORLD(world, receive_options(1024, 16, 16u << 20));
  Peer& peer = world.add();
  world.keep = true;
  for (int i = 0; i < 200; ++i) {
    world.speak(peer, 1 + random_() % 1500);
    world.step();
  }
  world.run_until_whole();
  std::uint64_t at = 0;
  for (const Loan& loan : world.kept) {
    ASSERT_EQ(testing::stream_match(peer.id, at, loan.bytes()), loan.size());
    at += loan.size();
  }
  EXPECT_EQ(at, peer.sent);
  EXPECT_EQ(world.pool.counts().user, world.kept.size());
  world.end();
}

TEST_P(ReceiverTest, AnIdleConnectionHoldsNoBuffer) {
  MAKE_WORLD(world, receive_options(4096, 16));
  for (int i = 0; i < 200; ++i) world.add();
  world.step();
  world.step();
  testing::expect_law(world.pool, 0);
  EXPECT_LE(world.pool.counts().kernel_ring, 16U);
  world.end();
}

TEST_P(ReceiverTest, TheEndOfThePeerComesAfterItsDataAndOnce) {
  for (const Kind kind : {Kind::local, Kind::tcp}) {
    MAKE_WORLD(world, receive_options(4096, 16));
    Peer& peer = world.add(kind);
    world.speak(peer, 50'000);
    world.finish(peer);
    world.run_until([&] { return peer.ended; });
    EXPECT_TRUE(peer.whole());
    EXPECT_EQ(peer.error, 0);
    for (int i = 0; i < 5; ++i) world.step();
    world.end();
  }
}

TEST_P(ReceiverTest, AnEndedInflowStartsAgainFromItsHandler) {
  MAKE_WORLD(world, receive_options(4096, 16));
  Peer& peer = world.add();
  int ends = 0;
  world.after_end = [&](Peer& ended) {
    if (++ends == 5) return;
    ended.ended = false;
    ended.sockets = SocketPair::local();
    world.receiver->start(ended, ended.sockets.near.get());
    world.speak(ended, 1000);
    world.finish(ended);
  };
  world.finish(peer);
  world.run_until([&] { return ends == 5; });
  EXPECT_EQ(peer.received, 4000U);
  world.end();
}

TEST_P(ReceiverTest, AnEndThatComesWhilePausedIsToldAfterResume) {
  MAKE_WORLD(world, receive_options(4096, 64));
  Peer& peer = world.add();
  world.step();
  world.pause(peer);
  for (int i = 0; i < 5; ++i) world.step();
  world.speak(peer, 3000);
  world.finish(peer);
  for (int i = 0; i < 5; ++i) world.step();
  EXPECT_FALSE(peer.ended);
  world.resume(peer);
  world.run_until([&] { return peer.ended; });
  EXPECT_TRUE(peer.whole());
  world.end();
}

TEST_P(ReceiverTest, PauseAndResumeAtRandomLoseNothing) {
  MAKE_WORLD(world, receive_options(512, 8));
  for (int i = 0; i < 20; ++i) world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
  world.after_data = [&](Peer& peer) {
    if (random_() % 4 == 0) world.pause(peer);
    if (random_() % 4 == 0) world.resume(*world.peers[random_() % world.peers.size()]);
  };
  for (int i = 0; i < 5000 && !HasFatalFailure(); ++i) {
    Peer& peer = *world.peers[random_() % world.peers.size()];
    world.speak(peer, 1 + random_() % 3000);
    if (random_() % 5 == 0) world.pause(peer);
    if (random_() % 3 == 0) world.resume(*world.peers[random_() % world.peers.size()]);
    if (random_() % 2 == 0) world.step();
  }
  world.after_data = [](Peer&) {};
  for (const auto& peer : world.peers) world.resume(*peer);
  world.run_until_whole();
  world.end();
}

TEST_P(ReceiverTest, PauseAndResumeOfWhatIsNotStartedAreNothing) {
  MAKE_WORLD(world, receive_options(512, 8));
  Inflow inflow;
  world.receiver->pause(inflow);
  world.receiver->resume(inflow);
  world.receiver->stop(inflow);
  world.step();
  EXPECT_FALSE(world.receiver->has_inflight());
  world.end();
}

TEST_P(ReceiverTest, ASubmissionQueueOfFourDelaysAndLosesNothing) {
  MAKE_WORLD(world, receive_options(1024, 64), 4, 512);
  for (int i = 0; i < 150; ++i) world.add();
  for (int round = 0; round < 5; ++round) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 4000);
    world.run_until_whole();
    for (const auto& peer : world.peers) world.pause(*peer);
    for (const auto& peer : world.peers) world.resume(*peer);
  }
  world.end();
}

TEST_P(ReceiverTest, ACompletionQueueThatOverflowsLosesNothing) {
  MAKE_WORLD(world, receive_options(512, 256), 4, 4);
  for (int i = 0; i < 100; ++i) world.add();
  for (int round = 0; round < 5; ++round) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 4000);
    world.run_until_whole();
  }
  world.end();
}

TEST_P(ReceiverTest, LeavesTheUsersOwnCompletionsAlone) {
  MAKE_WORLD(world, receive_options(512, 8));
  auto second_owner = std::make_unique<Receiver>(world.pool, world.ring.get(), 65);
  Receiver& second = *second_owner;
  Peer& peer = world.add();
  Peer other;
  other.sockets = SocketPair::local();
  second.start(other, other.sockets.near.get());
  io_uring_sqe* sqe = io_uring_get_sqe(&world.ring.get());
  io_uring_prep_nop(sqe);
  io_uring_sqe_set_data(sqe, &world);
  world.speak(peer, 100);
  world.speak(other, 200);
  int mine = 0;
  const auto run = [&](auto done) {
    for (int i = 0; i < 1000 && !done(); ++i) {
      while (world.receiver->turn() || second.turn()) io_uring_submit(&world.ring.get());
      io_uring_submit_and_wait(&world.ring.get(), 1);
      for (io_uring_cqe* cqe = nullptr; io_uring_peek_cqe(&world.ring.get(), &cqe) == 0;
           io_uring_cqe_seen(&world.ring.get(), cqe)) {
        EXPECT_FALSE(world.receiver->owns(*cqe) && second.owns(*cqe));
        const auto count = [](Inflow& inflow, Received what) {
          static_cast<Peer&>(inflow).received += what.data.size();
        };
        if (world.receiver->owns(*cqe)) {
          world.receiver->complete(*cqe, count);
        } else if (second.owns(*cqe)) {
          second.complete(*cqe, count);
        } else {
          ++mine;
        }
      }
    }
  };
  run([&] { return peer.whole() && other.whole() && mine == 1; });
  EXPECT_EQ(mine, 1);
  EXPECT_TRUE(peer.whole() && other.whole());
  second.stop_all();
  run([&] { return !second.has_inflight(); });
  EXPECT_FALSE(second.has_inflight());
  second_owner.reset();
  world.end();
}

TEST_P(ReceiverTest, TheGroupIsTakenOnce) {
  MAKE_WORLD(world, receive_options(512, 8));
  EXPECT_THROW(Receiver(world.pool, world.ring.get()), Error);
  EXPECT_THROW(Receiver(world.pool, world.ring.get(), 63), Error);
  world.end();
  const Receiver again(world.pool, world.ring.get());
}

TEST_P(ReceiverTest, AClassThatThePoolHasNotIsRefused) {
  Options options = testing::one_class(1u << 20, 4096);
  options.receive_bytes = 8192;
  Pool pool(options);
  testing::Ring ring;
  if (!ring.missing_multishot().empty()) GTEST_SKIP() << ring.missing_multishot();
  try {
    const Receiver receiver(pool, ring.get());
    FAIL() << "there is no class of 8 KiB";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("WEIR_RECV_BYTES"), std::string::npos) << error.what();
  }
  testing::expect_law(pool, 0);
}

}  // namespace
}  // namespace weir
