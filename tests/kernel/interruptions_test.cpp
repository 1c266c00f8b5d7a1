#include <gtest/gtest.h>
#include <sys/wait.h>

#include <thread>

#include "kernel/signal_storm.h"
#include "kernel/strategies.h"
#include "seed.h"

// Requests in flight while their thread ends, the process forks, or signals interrupt every wait.

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::Kind;
using testing::Peer;
using testing::take_all_but;
using testing::World;

constexpr std::uint32_t kBuffers = 8;

class InterruptionsTest : public testing::WithEachStrategy {
 protected:
  static void open(World& world) {
    for (int i = 0; i < 20; ++i) world.add(i % 4 == 0 ? Kind::tcp : Kind::local);
  }
  void speak(World& world) {
    for (const auto& peer : world.peers) world.speak(*peer, 1 + random_() % 9000);
  }
  /// Every byte arrives, and at the end every buffer but those of `held` is home.
  static void expect_whole_and_end(World& world, const std::vector<Loan>& held) {
    for (const auto& peer : world.peers) world.finish(*peer);
    world.run_until([&] { return testing::all_ended(world); });
    for (const auto& peer : world.peers) EXPECT_TRUE(peer->whole() && peer->error == 0) << peer->error;
    expect_end(world, held);
  }
  static void expect_end(World& world, const std::vector<Loan>& held) {
    world.receiver->stop_all();
    world.run_until([&] { return !world.receiver->has_inflight(); });
    world.receiver.reset();
    testing::expect_law(world.pool, held.size());
  }
};
WITH_EACH_STRATEGY(InterruptionsTest);

TEST_P(InterruptionsTest, AStormOfSignalsLosesNothing) {
  MAKE_WORLD(world, scarce(kBuffers, kBuffers));
  const std::vector<Loan> held = take_all_but(world, kBuffers);
  open(world);
  const testing::SignalStorm storm(300);
  for (int i = 0; (i < testing::steps(300) || storm.count() < 50) && !HasFatalFailure(); ++i) {
    if (i % 8 == 0) speak(world);
    world.step(1ms);
  }
  expect_whole_and_end(world, held);
}

TEST_P(InterruptionsTest, AChildOfForkDisturbsNothing) {
  MAKE_WORLD(world, scarce(kBuffers, kBuffers));
  const std::vector<Loan> held = take_all_but(world, kBuffers);
  open(world);
  for (int round = 0; round < 10 && !HasFatalFailure(); ++round) {
    speak(world);
    if (round % 3 > 0) world.step();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (round % 2 == 0) {
        world.peers.clear();  // with their inflows
        world.receiver.reset();
      }
      std::_Exit(0);
    }
    speak(world);
    world.step();
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  expect_whole_and_end(world, held);
}

/// Of an ordinary io_uring; one with a single issuer has no other thread.
class ThreadEndTest : public InterruptionsTest {
 protected:
  /// Leaves connections that wait, that have data, and that are parked.
  void run_on_a_thread_that_ends(World& world) {
    std::thread([&] {
      open(world);
      speak(world);
      for (int i = 0; i < 3; ++i) world.step();
      speak(world);
      world.receiver->turn();
      io_uring_submit(&world.ring.get());
    }).join();
  }
};
INSTANTIATE_TEST_SUITE_P(Each, ThreadEndTest,
                         ::testing::Combine(::testing::ValuesIn(testing::kStrategies), ::testing::Values(0U)),
                         testing::name_of_case);

TEST_P(ThreadEndTest, AnotherRunsTheLoopOn) {
  MAKE_WORLD(world, scarce(kBuffers, kBuffers));
  const std::vector<Loan> held = take_all_but(world, kBuffers);
  run_on_a_thread_that_ends(world);
  for (int i = 0; i < 3 && !HasFatalFailure(); ++i) {
    speak(world);
    world.run_until_whole();
  }
  expect_whole_and_end(world, held);
}

TEST_P(ThreadEndTest, AnotherStopsAll) {
  MAKE_WORLD(world, scarce(kBuffers, kBuffers));
  const std::vector<Loan> held = take_all_but(world, kBuffers);
  run_on_a_thread_that_ends(world);
  expect_end(world, held);
}

/// The poll that ends the loop's sleep is one of the requests whose thread has ended.
TEST_P(ThreadEndTest, ABufferThatComesHomeStillWakesTheLoop) {
  Options options = scarce(kBuffers, kBuffers);
  options.idle_ms = 0;  // nor is there a deadline that ends it
  MAKE_WORLD(world, options);
  std::vector<Loan> held = take_all_but(world, 0);
  std::thread([&] {
    open(world);
    speak(world);
    for (int i = 0; i < 1000 && world.receiver->parked() < world.peers.size(); ++i) world.step(1ms);
    EXPECT_EQ(world.receiver->parked(), world.peers.size());
    world.step();
  }).join();
  const std::uint64_t before = world.completions;
  std::thread other([&] {
    std::this_thread::sleep_for(10ms);
    held.clear();
    world.pool.flush();
  });
  world.step(10s);
  other.join();
  EXPECT_GT(world.completions, before) << "it slept on";
  expect_whole_and_end(world, held);
}

}  // namespace
}  // namespace weir
