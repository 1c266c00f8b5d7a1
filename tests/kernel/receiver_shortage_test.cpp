#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "kernel/scarce.h"

// Fewer buffers than connections that speak: they are parked and woken, without a storm and without losing a
// byte.

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::Kind;
using testing::Peer;
using testing::receive_options;
using testing::scarce;
using testing::take_all_but;
using testing::World;

class ReceiverShortageTest : public testing::OnBothRings {
 protected:
  std::mt19937_64 random_{testing::seed() + 3U};
};
ON_BOTH_RINGS(ReceiverShortageTest);

TEST_P(ReceiverShortageTest, FiveHundredSpeakAtOnceToSixteenBuffers) {
  constexpr std::uint64_t kPeers = 500;
  if (!testing::files_allowed(2 * kPeers + 50))
    GTEST_SKIP() << "the limit on open files is too low for 500 connections";
  MAKE_WORLD(world, testing::from_ring(scarce(16, 4)), 64, 2048);
  const std::vector<Loan> held = take_all_but(world, 16);
  for (std::uint64_t i = 0; i < kPeers; ++i) world.add();
  world.step();
  std::uint64_t messages = 0;
  for (int round = 0; round < 4; ++round) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 4000);
    messages += kPeers;
    world.run_until_whole();
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_LE(world.enobufs, 2 * messages) << "a storm of receives that find no buffer";
  EXPECT_GE(world.enobufs, kPeers) << "there was no shortage, so nothing was tested";
  RecordProperty("enobufs", std::to_string(world.enobufs));
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
  testing::expect_law(world.pool, held.size());
}

TEST_P(ReceiverShortageTest, LongMessagesOfManyConnectionsThroughOneBuffer) {
  MAKE_WORLD(world, scarce(16, 1));
  const std::vector<Loan> held = take_all_but(world, 1);
  for (int i = 0; i < 40; ++i) world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
  std::uint64_t pieces = 0;
  world.after_data = [&](Peer&) { ++pieces; };
  for (const auto& peer : world.peers) world.speak(*peer, 50'000);
  for (const auto& peer : world.peers) world.finish(*peer);
  world.run_until(
      [&] { return std::all_of(world.peers.begin(), world.peers.end(), [](auto& p) { return p->ended; }); });
  for (const auto& peer : world.peers) EXPECT_TRUE(peer->whole());
  EXPECT_LE(world.enobufs, 4 * pieces + 80);
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
}

TEST_P(ReceiverShortageTest, NobodyStarvesBehindThoseWhoSpeakAllTheTime) {
  MAKE_WORLD(world, scarce(16, 2));
  const std::vector<Loan> held = take_all_but(world, 2);
  for (int i = 0; i < 30; ++i) world.add();
  const auto chatter = [&] {
    for (std::size_t i = 0; i < 20; ++i) world.speak(*world.peers[i], 9000);
  };
  chatter();
  world.step();
  for (std::size_t i = 20; i < 30; ++i) world.speak(*world.peers[i], 100);
  for (int i = 0; i < 600 && !HasFatalFailure(); ++i) {
    chatter();
    world.step();
  }
  for (std::size_t i = 20; i < 30; ++i) EXPECT_TRUE(world.peers[i]->whole()) << "connection " << i << " starved";
  world.run_until_whole();
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
}

TEST_P(ReceiverShortageTest, AnEndIsToldOfThoughItsRingWasFilledBehindTheReceive) {
  Options options = testing::from_ring(scarce(16, 1));
  options.idle_ms = 0;  // no silence may show the end
  MAKE_WORLD(world, options);
  std::vector<Loan> held = take_all_but(world, 0);
  Peer& peer = world.add();
  world.speak(peer, 100);
  world.finish(peer);
  while (world.receiver->turn()) io_uring_submit(&world.ring.get());
  io_uring_submit(&world.ring.get());  // armed on an empty ring; with deferred task work, it has not looked yet
  held.clear();
  world.run_until([&] { return peer.ended; });
  EXPECT_TRUE(peer.whole());
  EXPECT_EQ(peer.error, 0);
  world.end();
}

TEST_P(ReceiverShortageTest, WhoIsStoppedIsNoLongerInLine) {
  MAKE_WORLD(world, scarce(16, 1));
  std::vector<Loan> held = take_all_but(world, 0);
  for (int i = 0; i < 20; ++i) world.speak(world.add(), 3000);
  world.keep = true;
  const auto parked = [&] { return world.receiver->parked(); };
  world.run_until([&] { return parked() >= 18; });
  while (world.peers.size() > 1) {  // from anywhere in the line
    world.peers.erase(world.peers.begin() + static_cast<std::ptrdiff_t>(random_() % world.peers.size()));
    EXPECT_LE(parked(), world.peers.size());
  }
  held.clear();
  world.kept.clear();
  world.keep = false;
  world.run_until_whole();
  EXPECT_EQ(parked(), 0U);
  world.end();
}

TEST_P(ReceiverShortageTest, OneBufferThatComesHomeIsEnough) {
  MAKE_WORLD(world, scarce(1024, 4));  // large enough for magazines
  std::vector<Loan> held = take_all_but(world, 0);
  for (int i = 0; i < 10; ++i) world.speak(world.add(), 3000);
  world.keep = true;
  world.run_until([&] { return world.receiver->parked() >= 6; });
  ASSERT_FALSE(HasFatalFailure());
  // Linux 6.1 parks whoever took the last buffer too, so that the parked are not those that have data.
  const auto served = [&] {
    return std::count_if(world.peers.begin(), world.peers.end(), [](auto& p) { return p->whole(); });
  };
  while (!held.empty() && served() < 10) {
    const auto before_drop = served();
    Loan one = std::move(held.back());
    held.pop_back();
    std::thread([mine = std::move(one)]() mutable { mine = Loan{}; }).join();
    world.run_until([&] { return served() > before_drop; });
    ASSERT_FALSE(HasFatalFailure());
    for (int i = 0; i < 3; ++i) world.step(1ms);
    const std::uint64_t before = world.completions;
    for (int i = 0; i < 5; ++i) world.step(1ms);
    EXPECT_EQ(world.completions, before) << "the loop spins while nothing comes home";
  }
  world.run_until_whole();
  world.keep = false;
  held.clear();
  world.end();
}

TEST_P(ReceiverShortageTest, WhatAThreadFlushesWakesToo) {
  MAKE_WORLD(world, scarce(1024, 4));
  std::atomic<int> stage{0};
  std::thread other([&] {
    std::vector<Loan> theirs;
    for (int i = 0; i < 4; ++i) theirs.push_back(world.pool.lend(4096));
    theirs.clear();  // into the magazine of this thread, which then sleeps
    stage = 1;
    while (stage != 2) std::this_thread::sleep_for(1ms);
    world.pool.flush();
    while (stage != 3) std::this_thread::sleep_for(1ms);
  });
  while (stage != 1) std::this_thread::sleep_for(1ms);
  std::vector<Loan> held = take_all_but(world, 4);
  ASSERT_GE(world.pool.counts().cached, 4U);
  world.keep = true;
  for (int i = 0; i < 8; ++i) world.speak(world.add(), 100);
  world.run_until([&] { return world.receiver->parked() == 4 || world.receiver->parked() == 0; });
  stage = 2;
  world.run_until_whole();
  stage = 3;
  other.join();
  held.clear();
  world.end();
}

TEST_P(ReceiverShortageTest, MemoryOfAnotherClassWakesTheParked) {
  Options options = scarce(256, 4);
  options.classes = {4096, 16384};
  MAKE_WORLD(world, options);
  std::vector<Loan> held = testing::lend_all(world.pool, 16384);
  for (Loan loan = world.pool.lend(4096); loan; loan = world.pool.lend(4096)) held.push_back(std::move(loan));
  std::atomic<bool> parked{false};
  std::thread other([&] {
    while (!parked) std::this_thread::sleep_for(1ms);
    held.clear();
    while (parked) std::this_thread::sleep_for(1ms);  // it flushes nothing
  });
  for (int i = 0; i < 8; ++i) world.speak(world.add(), 100);
  world.run_until([&] { return world.receiver->parked() == 8; });
  parked = true;
  world.run_until_whole();
  parked = false;
  other.join();
  world.end();
}

TEST_P(ReceiverShortageTest, AnEndBehindAShortageIsTold) {
  MAKE_WORLD(world, testing::from_ring(scarce(16, 1)));
  std::vector<Loan> held = take_all_but(world, 0);
  for (int i = 0; i < 20; ++i) {
    Peer& peer = world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
    if (i % 3 != 0) world.speak(peer, 100);
    world.finish(peer);
  }
  for (int i = 0; i < 5; ++i) world.step(1ms);
  EXPECT_GT(world.enobufs, 0U);
  held.clear();
  world.run_until(
      [&] { return std::all_of(world.peers.begin(), world.peers.end(), [](auto& p) { return p->ended; }); });
  for (const auto& peer : world.peers) EXPECT_TRUE(peer->whole());
  world.end();
}

TEST_P(ReceiverShortageTest, ParkedOnesAreStoppedWithAllOthers) {
  MAKE_WORLD(world, scarce(16, 1));
  const std::vector<Loan> held = take_all_but(world, 0);
  for (int i = 0; i < 40; ++i) world.speak(world.add(), 3000);
  world.run_until([&] { return world.receiver->parked() >= 38; });
  world.step(1ms);  // it waits for a buffer now, by a request of its own
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
  testing::expect_law(world.pool, held.size());
}

}  // namespace
}  // namespace weir
