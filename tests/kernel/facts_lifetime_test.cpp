#include <sys/wait.h>

#include <thread>

#include "kernel/facts.h"
#include "kernel/signal_storm.h"
#include "seed.h"

// Requests in flight when something around them ends or is too short: the completion queue, a wait, a thread, a child
// of fork, the io_uring.

namespace weir::testing {
namespace {

class OverflowFacts : public FactsOfEachWay {
 protected:
  OverflowFacts() : FactsOfEachWay(4, 4) {}
};
FACTS_OF_EACH_WAY(OverflowFacts, kWays, kBothRings);

TEST_P(OverflowFacts, NoCompletionIsLostOfMoreThanTheQueueHolds) {
  ASSERT_NE(ring_.get().features & IORING_FEAT_NODROP, 0U);
  constexpr std::uint64_t kMany = 8;
  std::vector<SocketPair> pairs;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    pairs.push_back(SocketPair::local());
    arm(100 + i, pairs.back().near.get());
    submit();
  }
  for (const SocketPair& pair : pairs) say(pair, "x");
  io_uring_get_events(&ring_.get());
  std::vector<std::uint64_t> names;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    const Completion each = next();
    EXPECT_GT(each.res, 0);
    names.push_back(each.name);
  }
  std::sort(names.begin(), names.end());
  for (std::uint64_t i = 0; i < kMany; ++i) EXPECT_EQ(names[i], 100 + i);
}

class MultishotOverflowFacts : public FactsOnBothRings {
 protected:
  MultishotOverflowFacts() : FactsOnBothRings(4, 4) {}
};
FACTS_ON_BOTH_RINGS(MultishotOverflowFacts);

TEST_P(MultishotOverflowFacts, ItEndsAMultishotAndNoByteIsLost) {
  if (const std::string why = ring_.missing_multishot(); !why.empty()) GTEST_SKIP() << why;
  RawGroup group(ring_, kGroup, 16, kBytes);
  group.provide_all();
  receive(Way::multishot);
  submit();
  std::string said;
  for (char letter = 'a'; letter < 'm'; ++letter) {
    said += letter;
    say(std::string(1, letter));
    io_uring_get_events(&ring_.get());
  }
  std::string got;
  for (bool ended = false; !ended && !HasFailure();) {
    const Completion each = next();
    ASSERT_EQ(each.res, 1);
    got += group.text(each.bid(), 1);
    ended = !each.more();
  }
  EXPECT_GE(got.size(), 4U);
  EXPECT_LT(got.size(), said.size());
  EXPECT_EQ(got + rest(), said);
  EXPECT_TRUE(all().empty());
}

class WaitFacts : public FactsOfEachWay {};
FACTS_OF_EACH_WAY(WaitFacts, kWays, kBothRings);

TEST_P(WaitFacts, AnInterruptedWaitLosesNothing) {
  arm();
  {
    const SignalStorm storm(2000);
    const int result = io_uring_submit_and_wait(&ring_.get(), 1);
    EXPECT_TRUE(result == 1 || result == -EINTR) << result;
    io_uring_cqe* cqe = nullptr;
    EXPECT_EQ(io_uring_wait_cqe(&ring_.get(), &cqe), -EINTR);
  }
  say("weir");
  const Completion got = next();
  EXPECT_EQ(got.name, kReceive);
  EXPECT_GT(got.res, 0);
  EXPECT_TRUE(way() == Way::poll || text_of(got) == "weir");
}

class ThreadFacts : public FactsOfEachWay {
 protected:
  void arm_on_a_thread_that_ends() {
    std::thread([&] {
      arm();
      submit();
    }).join();
    EXPECT_TRUE(all().empty()) << "the end of the thread alone ends nothing";
  }
};
FACTS_OF_EACH_WAY(ThreadFacts, kWays, kOrdinaryRing);

/// It is not lost, nor is the data: whoever reads the completions arms it again.
TEST_P(ThreadFacts, AfterTheSubmittersEndDataEndsItAsCancelledAndStaysQueued) {
  arm_on_a_thread_that_ends();
  say("weir");
  const Completion ended = next();
  EXPECT_EQ(ended.name, kReceive);
  EXPECT_EQ(ended.res, -ECANCELED);
  EXPECT_EQ(ended.flags, 0U);
  arm();
  const Completion got = next();
  EXPECT_GT(got.res, 0);
  EXPECT_TRUE(way() == Way::poll || text_of(got) == "weir");
}

TEST_P(ThreadFacts, AfterTheSubmittersEndItIsCancelledAsBefore) {
  arm_on_a_thread_that_ends();
  cancel(kReceive);
  for (int i = 0; i < 2; ++i) {
    const Completion each = next();
    EXPECT_EQ(each.res, each.name == kReceive ? -ECANCELED : 0);
  }
}

class ForkFacts : public FactsOfEachWay {};
FACTS_OF_EACH_WAY(ForkFacts, kWays, kBothRings);

TEST_P(ForkFacts, AChildEndsNothing) {
  arm();
  submit();
  const pid_t child = fork();
  if (child == 0) std::_Exit(0);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  say("weir");
  EXPECT_GT(next().res, 0);
}

class OneThreadFacts : public FactsTest {
 protected:
  OneThreadFacts() : FactsTest(kDeferred) {}
};

TEST_F(OneThreadFacts, AnotherThreadMayNeitherSubmitNorRegister) {
  receive(Way::poll);
  std::thread([&] {
    EXPECT_EQ(io_uring_submit(&ring_.get()), -EEXIST);
    EXPECT_EQ(RawGroup(ring_, kGroup, 1, kBytes).error(), -EEXIST);
  }).join();
  say("weir");
  EXPECT_GT(next().res, 0) << "what was prepared is submitted by the right one";
}

class RingEndFacts : public ::testing::TestWithParam<WayCase> {};
FACTS_OF_EACH_WAY(RingEndFacts, kReceives, kBothRings);

/// Receives from sockets that wait. File reads and IOSQE_ASYNC are another matter.
TEST_P(RingEndFacts, NoReceiveWritesAfterIt) {
  const auto [way, flags] = GetParam();
  constexpr std::uint16_t kMany = 16;
  constexpr std::size_t kSize = 64;
  std::vector<SocketPair> pairs;
  for (std::uint16_t i = 0; i < kMany; ++i) pairs.push_back(SocketPair::local());
  for (int round = 0; round < steps(100) && !HasFailure(); ++round) {
    RawRing raw(flags);
    if (const std::string why = raw.missing(way); !why.empty()) GTEST_SKIP() << why;
    RawGroup group(raw.ring_, RawRing::kGroup, kMany, kSize);
    group.provide_all();
    for (std::uint16_t i = 0; i < kMany; ++i) {
      io_uring_sqe& sqe = raw.receive(way, 100 + i, pairs[i].near.get());
      if (way != Way::into_buffer) continue;
      sqe.addr = reinterpret_cast<std::uintptr_t>(group.buffer(i));
      sqe.len = kSize;
    }
    raw.submit();
    raw.ring_.end();
    for (const SocketPair& pair : pairs) RawRing::say(pair, "late");
    usleep(1000);
    for (std::uint16_t i = 0; i < kMany; ++i) EXPECT_EQ(group.text(i, 4), std::string(4, '\0')) << "round " << round;
    for (const SocketPair& pair : pairs) {
      std::array<char, 16> text{};
      EXPECT_EQ(recv(pair.near.get(), text.data(), text.size(), MSG_DONTWAIT), 4) << "what nobody received is there";
    }
  }
}

}  // namespace
}  // namespace weir::testing
