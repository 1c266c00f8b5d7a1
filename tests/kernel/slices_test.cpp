#include <gtest/gtest.h>
#include <weir/error.h>

#include <cerrno>
#include <mutex>
#include <thread>

#include "kernel/world.h"

// The strategies whose completions carry parts of a buffer, or several buffers.

namespace weir {
namespace {

using testing::Kind;
using testing::Peer;
using testing::World;

constexpr std::uint32_t kBuffer = 65536;

Options incremental(std::uint32_t buffers) {
  Options options = testing::one_class(8u << 20, kBuffer);
  options.recv = Strategy::ring_incremental;
  options.ring_entries = buffers;
  return options;
}

class SlicesTest : public testing::OnBothRings {
 protected:
  std::mt19937_64 random_{testing::seed() + 11U};
};
ON_BOTH_RINGS(SlicesTest);

TEST_P(SlicesTest, ManyMessagesShareABuffer) {
  MAKE_WORLD(world, incremental(4));
  for (int i = 0; i < 10; ++i) world.add();
  world.keep = true;
  for (const auto& peer : world.peers) world.speak(*peer, 100);
  world.run_until_whole();
  ASSERT_EQ(world.kept.size(), 10U);
  const auto [first, last] =
      std::minmax_element(world.kept.begin(), world.kept.end(), [](auto& a, auto& b) { return a.data() < b.data(); });
  EXPECT_LT(last->data() - first->data(), kBuffer) << "each message has a buffer of its own";
  EXPECT_EQ(world.pool.counts().user, 0U) << "the buffer is the ring's until it is full";
  EXPECT_EQ(world.pool.counts().kernel_ring, 4U);
  testing::expect_law(world.pool, 0);
  world.end();
}

/// The buffer that is full is the user's as a whole, until its last slice is dropped, wherever that is.
TEST_P(SlicesTest, TheLastSliceBringsTheBufferHome) {
  MAKE_WORLD(world, incremental(4));
  Peer& peer = world.add();
  world.keep = true;
  while (world.pool.counts().user < 2) {
    world.speak(peer, 10'000);
    world.run_until_whole();
    ASSERT_FALSE(HasFatalFailure());
  }
  std::shuffle(world.kept.begin(), world.kept.end(), random_);
  std::thread([&] {
    while (world.kept.size() > 1) world.kept.pop_back();
  }).join();
  EXPECT_LE(world.pool.counts().user, 1U);
  world.kept.clear();
  testing::expect_law(world.pool, 0);
  world.end();
}

TEST_P(SlicesTest, SlicesOutliveTheirReceiver) {
  MAKE_WORLD(world, incremental(4));
  Peer& peer = world.add();
  world.keep = true;
  world.speak(peer, 1000);
  world.run_until_whole();
  world.receiver->stop_all();
  world.run_until([&] { return !world.receiver->has_inflight(); });
  world.receiver.reset();
  testing::expect_law(world.pool, 1);
  std::uint64_t at = 0;
  for (const Loan& slice : world.kept) {
    ASSERT_EQ(testing::stream_match(peer.id, at, slice.bytes()), slice.size());
    at += slice.size();
  }
  world.kept.clear();
  testing::expect_law(world.pool, 0);
}

TEST_P(SlicesTest, DroppedOnOtherThreadsWhileTheKernelFillsTheRest) {
  MAKE_WORLD(world, incremental(2));
  for (int i = 0; i < 8; ++i) world.add(i % 2 == 0 ? Kind::local : Kind::tcp);
  std::mutex mutex;
  std::vector<Loan> passed;
  bool stop = false;
  const auto consume = [&](std::uint64_t seed) {
    std::mt19937_64 random{seed};
    std::vector<Loan> mine;
    for (bool last = false; !last;) {
      {
        const std::lock_guard lock(mutex);
        last = stop;
        for (; !passed.empty() && random() % 8 != 0; passed.pop_back()) mine.push_back(std::move(passed.back()));
      }
      std::shuffle(mine.begin(), mine.end(), random);
      mine.resize(mine.size() / 2);
      std::this_thread::yield();
    }
  };
  std::thread first(consume, 1);
  std::thread second(consume, 2);
  world.keep = true;
  for (int i = 0; i < 1500 && !HasFatalFailure(); ++i) {
    world.speak(*world.peers[random_() % 8], 1 + random_() % 5000);
    world.step();
    const std::lock_guard lock(mutex);
    for (Loan& loan : world.kept) passed.push_back(std::move(loan));
    world.kept.clear();
  }
  world.run_until_whole();
  {
    const std::lock_guard lock(mutex);
    stop = true;
  }
  first.join();
  second.join();
  passed.clear();
  world.end();
}

class SlicesDeathTest : public SlicesTest {
 protected:
  SlicesDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
ON_BOTH_RINGS(SlicesDeathTest);

/// The first starts where the buffer does, and is not all of it.
TEST_P(SlicesDeathTest, ASliceIsNotAdoptedAsABuffer) {
  MAKE_WORLD(world, incremental(4));
  world.keep = true;
  world.speak(world.add(), 100);
  world.run_until_whole();
  ASSERT_EQ(world.kept.size(), 1U);
  EXPECT_EXIT((void)world.pool.adopt(world.kept.front().release()), ::testing::KilledBySignal(SIGABRT),
              "weir: adopt\\(.*\\): it is a slice of a buffer");
  world.end();
}

TEST_P(SlicesTest, DatagramsAreRefused) {
  MAKE_WORLD(world, incremental(2));
  const testing::File datagrams(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  Inflow inflow;
  try {
    world.receiver->start(inflow, datagrams.get());
    FAIL() << "they would be cut short";
  } catch (const Error& error) {
    EXPECT_EQ(error.code().value(), EPROTOTYPE);
  }
  world.end();
}

TEST_P(SlicesTest, BuffersSmallerThanAChunkAreRefused) {
  Options options = testing::one_class(1u << 20, 4096);
  testing::Ring ring(8, GetParam());
  if (!ring.missing_multishot().empty()) GTEST_SKIP() << ring.missing_multishot();
  Pool pool(options);
  Receiver receiver(pool, ring.get());
  Inflow inflow;
  try {
    receiver.start(inflow, 0, Strategy::ring_incremental);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("WEIR_CLASSES"), std::string::npos) << error.what();
  }
}

class BundlesTest : public testing::OnBothRings {};
ON_BOTH_RINGS(BundlesTest);

Options bundles() {
  Options options = testing::one_class(4u << 20, 1024);
  options.recv = Strategy::ring_bundle;
  options.ring_entries = 64;
  return options;
}

TEST_P(BundlesTest, OneCompletionBringsManyBuffersInOrder) {
  MAKE_WORLD(world, bundles());
  Peer& peer = world.add(Kind::tcp);  // how much there is, Linux 6.12 knows of TCP only
  std::uint64_t pieces = 0;
  world.after_data = [&](Peer&) { ++pieces; };
  for (int i = 0; i < 50 && !HasFatalFailure(); ++i) {
    world.speak(peer, 20'000);
    world.run_until_whole();
  }
  EXPECT_GT(pieces, 2 * world.completions);
  world.end();
}

/// What a bundle brings beyond the piece at which its connection was paused, stopped or destroyed.
TEST_P(BundlesTest, ItsRestIsKeptOrDropped) {
  MAKE_WORLD(world, bundles());
  std::mt19937_64 random{testing::seed() + 12U};
  for (int i = 0; i < 20; ++i) world.add();
  world.after_data = [&](Peer& peer) {
    const std::uint64_t lot = random() % 8;
    if (lot < 2) world.pause(peer);
    if (lot == 2) world.receiver->stop(peer);
    if (lot == 3) std::erase_if(world.peers, [&](auto& each) { return each.get() == &peer; });
    if (lot < 4) world.add();  // it must not get the rest of another's
  };
  for (int i = 0; i < 100 && !HasFatalFailure() && !world.peers.empty(); ++i) {
    world.speak(*world.peers[random() % world.peers.size()], 10'000);
    world.step();
    for (const auto& peer : world.peers) {
      if (peer->paused && random() % 2 == 0) world.resume(*peer);
    }
  }
  world.end();
}

}  // namespace
}  // namespace weir
