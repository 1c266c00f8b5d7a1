#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "kernel/strategies.h"
#include "stats/segment.h"

// What every strategy does when there is no data, or no buffer.

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::Kind;
using testing::Peer;
using testing::receive_options;
using testing::take_all_but;
using testing::World;

Options timed(std::uint32_t idle_ms, std::uint32_t deadline_ms = 0) {
  Options options = receive_options(4096, 16);
  options.idle_ms = idle_ms;
  options.deadline_ms = deadline_ms;
  return options;
}

class StrategiesIdleTest : public testing::WithEachStrategy {
 protected:
  static std::uint64_t kernel(const World& world) { return world.pool.counts().kernel_request; }
  /// What the segment says of the only receiver.
  static const detail::ReceiverRecord& shown() {
    return *std::ranges::find_if(detail::segment().receivers, [](const auto& each) { return each.live != 0; });
  }
  static bool is_adaptive() { return strategy() == Strategy::poll_adaptive || strategy() == Strategy::ring_adaptive; }
  static bool waits_with_a_buffer() {
    return strategy() == Strategy::direct || strategy() == Strategy::poll_first ||
           strategy() == Strategy::poll_adaptive;
  }
};
WITH_EACH_STRATEGY(StrategiesIdleTest);

TEST_P(StrategiesIdleTest, OnlyADirectReceiveHoldsABuffer) {
  MAKE_WORLD(world, timed(0));
  for (int i = 0; i < 50; ++i) world.add();
  for (int i = 0; i < 3; ++i) world.step();
  EXPECT_EQ(kernel(world), strategy() == Strategy::direct ? 50U : 0U);
  EXPECT_EQ(world.pool.counts().kernel_ring > 0, testing::fills_ring(strategy()));
  testing::expect_law(world.pool, 0);
  EXPECT_EQ(world.receiver->next_deadline(), World::Clock::time_point::max());
  world.end();
}

TEST_P(StrategiesIdleTest, TheIdleHoldNothingAndWhatComesAfterIsRight) {
  MAKE_WORLD(world, timed(20));
  for (int i = 0; i < 50; ++i) world.speak(world.add(i % 2 == 0 ? Kind::local : Kind::tcp), 100);
  world.run_until_whole();
  for (int round = 0; round < 3 && !HasFatalFailure(); ++round) {
    world.step();
    EXPECT_LE(kernel(world), waits_with_a_buffer() ? 50U : 0U);
    world.run_until([&] { return world.receiver->next_deadline() == World::Clock::time_point::max(); });
    for (int i = 0; i < 3; ++i) world.step();
    EXPECT_EQ(kernel(world), 0U) << "an idle connection holds a buffer";
    EXPECT_EQ(shown().idle, 50U);
    if (!is_adaptive()) {  // those wait by poll unless data comes often
      EXPECT_EQ(shown().reclaimed > 0, strategy() != Strategy::poll_recv && strategy() != Strategy::epoll);
    }
    testing::expect_law(world.pool, 0);
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 9000);
    world.run_until_whole();
  }
  world.end();
}

TEST_P(StrategiesIdleTest, ReclaimThatRacesWithDataLosesNothing) {
  MAKE_WORLD(world, timed(1));
  for (int i = 0; i < 40; ++i) world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
  std::atomic<bool> stop{false};
  std::vector<std::uint64_t> wanted(world.peers.size());
  std::thread speaker([&] {  // sends whenever it is least welcome
    std::mt19937_64 random{17};
    while (!stop) {
      world.speak(*world.peers[random() % world.peers.size()], 1 + random() % 3000);
      if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    }
  });
  const auto end = World::Clock::now() + 700ms;
  while (World::Clock::now() < end && !HasFatalFailure()) world.step(5ms);
  stop = true;
  speaker.join();
  world.run_until_whole();
  world.end();
}

TEST_P(StrategiesIdleTest, WhoSpeaksIsNotReclaimed) {
  MAKE_WORLD(world, timed(20'000));  // much longer than any pause of the machine between two messages
  Peer& peer = world.add();
  const auto end = World::Clock::now() + 500ms;
  while (World::Clock::now() < end && !HasFatalFailure()) {
    world.speak(peer, 100);
    world.run_until_whole();
    world.step();
    if (strategy() == Strategy::direct) {
      ASSERT_EQ(kernel(world), 1U);
    }
    world.step(10ms);
  }
  world.end();
}

TEST_P(StrategiesIdleTest, TheSilentEndAtTheDeadlineAndOthersDoNot) {
  MAKE_WORLD(world, timed(20, 150));
  const auto began = World::Clock::now();
  Peer& silent = world.add();
  Peer& speaker = world.add();
  Peer& paused = world.add();
  world.pause(paused);
  while (!silent.ended && !HasFatalFailure()) {
    world.speak(speaker, 10);
    world.step(5ms);
    ASSERT_LT(World::Clock::now() - began, 10s);
  }
  EXPECT_GE(World::Clock::now() - began, 150ms);
  EXPECT_EQ(silent.error, ETIMEDOUT);
  EXPECT_FALSE(speaker.ended || paused.ended);
  world.resume(paused);
  world.run_until([&] { return testing::all_ended(world); });
  EXPECT_EQ(paused.error, ETIMEDOUT);
  EXPECT_EQ(speaker.error, ETIMEDOUT);
  EXPECT_TRUE(speaker.whole());
  world.end();
}

/// Where the machine is slow too, the deadline may really be over: then nothing is asserted.
TEST_P(StrategiesIdleTest, ALoopThatIsLateEndsNobodyWhoSpokeInTime) {
  constexpr auto kDeadline = 40ms;
  MAKE_WORLD(world, timed(0, kDeadline.count()));
  const auto began = World::Clock::now();
  Peer& peer = world.add();
  world.step();
  world.speak(peer, 100);
  const bool in_time = World::Clock::now() - began < kDeadline;
  std::this_thread::sleep_for(3 * kDeadline / 2);
  world.run_until([&] { return peer.whole() || peer.ended; });
  EXPECT_TRUE(peer.whole() || !in_time) << "timed out, with what it sent in its socket";
  world.end();
}

TEST_P(StrategiesIdleTest, WhatComesBehindASlowHandlerComesAfterIt) {
  constexpr auto kDeadline = 40ms;
  MAKE_WORLD(world, timed(0, kDeadline.count()));
  Peer& slow = world.add();
  Peer& peer = world.add();
  World::Clock::time_point heard{};
  world.after_data = [&](Peer& of) {
    if (&of == &slow) std::this_thread::sleep_for(3 * kDeadline / 2);
    heard = World::Clock::now();
  };
  world.step();
  world.speak(slow, 1);
  world.speak(peer, 100);
  world.run_until([&] { return (slow.whole() || slow.ended) && (peer.whole() || peer.ended); });
  const bool had_ended = peer.ended;
  for (int i = 0; i < 3; ++i) world.step();
  const bool in_time = World::Clock::now() - heard < kDeadline;
  EXPECT_FALSE(peer.ended && !had_ended && in_time) << "timed out, though it was heard just now";
  world.end();
}

TEST_P(StrategiesIdleTest, ManyThroughAFewBuffers) {
  MAKE_WORLD(world, scarce(16, 4), 64, 2048);
  const std::vector<Loan> held = take_all_but(world, 8);
  for (int i = 0; i < 200; ++i) world.add();
  for (int round = 0; round < 4 && !HasFatalFailure(); ++round) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 20'000);
    world.run_until_whole();
  }
  for (const auto& peer : world.peers) world.finish(*peer);
  world.run_until([&] { return testing::all_ended(world); });
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
  testing::expect_law(world.pool, held.size());
}

TEST_P(StrategiesIdleTest, ADropOnAnotherThreadWakesALoopThatIsBlocked) {
  Options options = scarce(64, 8);
  options.idle_ms = 0;
  MAKE_WORLD(world, options);
  for (int round = 0; round < 20 && !HasFatalFailure(); ++round) {
    std::vector<Loan> held = take_all_but(world, 0);
    if (world.peers.empty()) world.add();
    world.keep = true;
    Peer& peer = *world.peers.front();
    world.run_until([&] {  // more than what the ring holds, and a buffer that waits
      world.speak(peer, 10'000);
      return world.receiver->parked() == 1;
    });
    EXPECT_FALSE(peer.whole());
    std::vector<Loan> theirs = std::move(world.kept);
    world.kept.clear();
    theirs.insert(theirs.end(), std::make_move_iterator(held.begin()), std::make_move_iterator(held.end()));
    std::thread other([&theirs, round] {
      std::this_thread::sleep_for(std::chrono::milliseconds(round % 3));
      while (!theirs.empty()) theirs.pop_back();
    });
    while (!peer.whole() && !HasFatalFailure()) {  // no time limit: who is not woken hangs, and ctest says so
      world.step_whenever();
    }
    other.join();
    world.kept.clear();
  }
  world.end();
}

TEST_P(StrategiesIdleTest, DropsThatRaceWithTheWaitingAreNotMissed) {
  MAKE_WORLD(world, scarce(512, 4));
  std::vector<Loan> held = take_all_but(world, 8);
  for (int i = 0; i < 8; ++i) world.add();
  std::mutex mutex;
  std::vector<Loan> passed;
  std::atomic<bool> stop{false};
  std::thread consumer([&] {
    while (!stop) {
      std::vector<Loan> mine;
      {
        const std::lock_guard lock(mutex);
        mine.swap(passed);
      }
      if (mine.empty()) {
        world.pool.flush();  // as the contract asks before a sleep
        std::this_thread::yield();
      }
    }
    world.pool.flush();
  });
  world.keep = true;
  for (int round = 0; round < 600 && !HasFatalFailure(); ++round) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 6000);
    const auto whole = [&] {
      const std::lock_guard lock(mutex);
      for (Loan& loan : world.kept) passed.push_back(std::move(loan));
      world.kept.clear();
      return std::all_of(world.peers.begin(), world.peers.end(), [](auto& p) { return p->whole(); });
    };
    world.run_until(whole);
  }
  stop = true;
  consumer.join();
  passed.clear();
  held.clear();
  world.end();
}

/// The ring of others has all buffers that are left, and their connections are silent.
TEST_P(StrategiesIdleTest, WhatARingHoldsIsForTheParkedToo) {
  MAKE_WORLD(world, scarce(64, 8));
  if (world.on_epoll) return;  // which has no rings
  if (!world.ring.missing_multishot().empty()) GTEST_SKIP() << "no multishot receives here";
  world.add(Kind::local, Strategy::ring);
  world.step();
  const std::vector<Loan> held = take_all_but(world, 0);
  ASSERT_EQ(world.pool.counts().free + world.pool.counts().cached, 0U);
  for (int i = 0; i < 20; ++i) world.add();
  for (int round = 0; round < 3 && !HasFatalFailure(); ++round) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 9000);
    world.run_until_whole();
  }
  for (const auto& peer : world.peers) world.finish(*peer);
  world.run_until([&] { return testing::all_ended(world); });
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
  testing::expect_law(world.pool, held.size());
}

TEST_P(StrategiesIdleTest, ParkedOnesCanPauseResumeStopAndGo) {
  MAKE_WORLD(world, scarce(16, 1));
  std::vector<Loan> held = take_all_but(world, 0);
  for (int i = 0; i < 40; ++i) world.speak(world.add(), 3000);
  world.keep = true;
  world.run_until([&] { return world.receiver->parked() >= 38; });
  for (std::size_t i = 0; i < 10; ++i) world.pause(*world.peers[i]);
  for (std::size_t i = 0; i < 5; ++i) world.resume(*world.peers[i]);
  for (std::size_t i = 10; i < 20; ++i) world.receiver->stop(*world.peers[i]);
  world.peers.erase(world.peers.begin() + 30, world.peers.end());
  for (int i = 0; i < 5; ++i) world.step(1ms);
  world.keep = false;
  world.kept.clear();
  held.clear();
  const auto whole = [&](std::size_t from, std::size_t to) {
    return std::all_of(world.peers.begin() + static_cast<std::ptrdiff_t>(from),
                       world.peers.begin() + static_cast<std::ptrdiff_t>(to), [](auto& p) { return p->whole(); });
  };
  world.run_until([&] { return whole(0, 5) && whole(20, 30); });
  for (std::size_t i = 5; i < 10; ++i) world.resume(*world.peers[i]);
  world.run_until([&] { return whole(0, 10); });
  world.end();
}

}  // namespace
}  // namespace weir
