#include <gtest/gtest.h>
#include <sys/wait.h>
#include <weir/buffer_ring.h>

#include <memory>
#include <string>

#include "kernel/world.h"

// The end of receivers: drained as asked, too early, or in a child of fork.

namespace weir {
namespace {

using testing::Kind;
using testing::Peer;
using testing::receive_options;
using testing::World;

class ReceiverTeardownTest : public testing::OnBothRings {
 protected:
  std::mt19937_64 random_{testing::seed() + 4U};
};
ON_BOTH_RINGS(ReceiverTeardownTest);

TEST_P(ReceiverTeardownTest, WithoutWorkItIsQuiet) {
  MAKE_WORLD(world, receive_options(4096, 16));
  EXPECT_FALSE(world.receiver->has_inflight());
  world.receiver->stop_all();
  EXPECT_FALSE(world.receiver->has_inflight());
  world.end();
}

TEST_P(ReceiverTeardownTest, StopAllTwiceIsOnce) {
  MAKE_WORLD(world, receive_options(4096, 16));
  for (int i = 0; i < 10; ++i) world.add();
  world.step();
  EXPECT_TRUE(world.receiver->has_inflight());
  world.receiver->stop_all();
  world.receiver->stop_all();
  world.end();
}

TEST_P(ReceiverTeardownTest, WithASubmissionQueueOfFour) {
  MAKE_WORLD(world, receive_options(4096, 16), 4, 512);
  for (int i = 0; i < 100; ++i) world.add();
  world.step();
  world.end();
}

TEST_P(ReceiverTeardownTest, TheNextReceiverHasTheSameGroup) {
  MAKE_WORLD(world, receive_options(1024, 64));
  for (int round = 0; round < 20; ++round) {
    Peer& peer = world.add();
    world.speak(peer, 20'000);
    world.run_until_whole();
    world.end();
    world.peers.clear();
    world.receiver = std::make_unique<Receiver>(world.pool, world.ring.get());
  }
}

/// Destroyed while the kernel may still write: said, and the memory stays mapped.
TEST_P(ReceiverTeardownTest, TooEarlyIsSaidAndHarmless) {
  for (int round = 0; round < 3; ++round) {
    testing::SocketPair sockets = testing::SocketPair::local();
    testing::Ring ring(64, GetParam());
    if (!ring.missing_multishot().empty()) GTEST_SKIP() << ring.missing_multishot();
    auto pool = std::make_unique<Pool>(testing::from_ring(receive_options(1024, 8)));
    auto receiver = std::make_unique<Receiver>(*pool, ring.get());
    {
      Inflow inflow;
      receiver->start(inflow, sockets.near.get());
      receiver->turn();
      io_uring_submit(&ring.get());
    }
    ::testing::internal::CaptureStderr();
    receiver.reset();
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("weir: a receiver was destroyed with 1 requests in flight"), std::string::npos) << said;
    EXPECT_NE(said.find("while has_inflight()"), std::string::npos) << said;
    pool.reset();
    const std::string text(3000, 'w');
    EXPECT_EQ(send(sockets.far.get(), text.data(), text.size(), 0),
              3000);  // the kernel writes into the lost buffers
    const io_uring_cqe cqe = ring.complete();
    EXPECT_EQ(cqe.res, 1024);
  }
  Pool after(testing::small_options());
  EXPECT_EQ(testing::lend_all(after, 1024).size(), (4u << 20) / 1024);
  testing::expect_law(after, 0);
}

TEST_P(ReceiverTeardownTest, TooEarlyWithThePoolInUseLosesOnlyTheRing) {
  Pool pool(testing::from_ring(receive_options(1024, 8)));
  testing::SocketPair sockets = testing::SocketPair::local();
  testing::Ring ring(64, GetParam());
  if (!ring.missing_multishot().empty()) GTEST_SKIP() << ring.missing_multishot();
  {
    Receiver receiver(pool, ring.get());
    Inflow inflow;
    receiver.start(inflow, sockets.near.get());
    receiver.turn();
    io_uring_submit(&ring.get());
    ::testing::internal::CaptureStderr();
  }
  ::testing::internal::GetCapturedStderr();
  testing::expect_law(pool, 0);
  EXPECT_EQ(pool.counts().kernel_ring, 8U) << "what the kernel may write to is not lent again";
  EXPECT_TRUE(pool.lend(1024));
}

TEST_P(ReceiverTeardownTest, AChildOfForkDestroysNothingOfItsParent) {
  MAKE_WORLD(world, receive_options(1024, 8));
  BufferRing buffers(world.pool, world.ring.get(), 100, 4, 512);
  buffers.replenish();
  Peer& peer = world.add();
  world.step();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    world.peers.clear();  // with their inflows
    world.receiver.reset();
    buffers.~BufferRing();
    std::_Exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  world.speak(peer, 10'000);
  world.run_until_whole();
  EXPECT_EQ(buffers.filled(), 4U);
  testing::expect_law(world.pool, 0);
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
}

}  // namespace
}  // namespace weir
