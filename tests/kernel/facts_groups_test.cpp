#include <thread>

#include "kernel/facts.h"
#include "seed.h"

// Groups of buffers: their numbers, their order, and another ring in the place of one that is in use.

namespace weir::testing {
namespace {

constexpr std::uint16_t kGroups[] = {64, 1000, 65535};

class GroupFacts : public FactsOnBothRings {
 protected:
  void SetUp() override {
    FactsOnBothRings::SetUp();
    if (IsSkipped()) return;
    if (const std::string why = ring_.missing_multishot(); !why.empty()) GTEST_SKIP() << why;
  }
  int result_of_multishot(unsigned bytes) {
    receive(Way::multishot).len = bytes;
    say("0123456789");
    const Completion got = next();
    if (got.more()) {
      cancel(kReceive);
      (void)all();
    }
    (void)rest();
    return got.res;
  }
};
FACTS_ON_BOTH_RINGS(GroupFacts);

TEST_P(GroupFacts, ANumberIsTakenOnceAndFreeAgainAfterIt) {
  for (const std::uint16_t bgid : kGroups) {
    for (int round = 0; round < 3; ++round) {
      const RawGroup first(ring_, bgid, 8, kBytes);
      EXPECT_EQ(first.error(), 0);
      const RawGroup second(ring_, bgid, 8, kBytes);
      EXPECT_EQ(second.error(), -EEXIST);
    }
  }
}

TEST_P(GroupFacts, EntriesAreAPowerOfTwoBelow65536) {
  for (const unsigned entries : {1U, 2U, 1024U, 32768U}) EXPECT_EQ(RawGroup(ring_, kGroup, entries, 1).error(), 0);
  for (const unsigned entries : {3U, 1000U, 65536U}) EXPECT_EQ(RawGroup(ring_, kGroup, entries, 1).error(), -EINVAL);
}

TEST_P(GroupFacts, BuffersAreTakenInTheOrderOfTheRing) {
  RawGroup group(ring_, kGroup, 4, kBytes);
  const std::uint16_t order[] = {2, 0, 3, 1, 1, 3, 2, 0, 0};
  receive(Way::multishot);
  group.provide(order[0]);
  group.provide(order[1]);
  for (std::size_t i = 0; i + 2 < std::size(order); ++i) {
    say("next");
    EXPECT_EQ(next().bid(), order[i]);
    group.provide(order[i + 2]);
  }
}

/// From 64 up, on every kernel: below it, 6.1 goes on from where the last ring ended.
TEST_P(GroupFacts, AGroupThatIsRegisteredAgainStartsAtItsFirstEntry) {
  for (const std::uint16_t bgid : kGroups) {
    for (const unsigned taken : {0U, 1U, 3U, 4U}) {
      RawGroup first(ring_, bgid, 4, kBytes);
      first.provide_all();
      for (unsigned i = 0; i < taken; ++i) {
        receive(Way::select, kReceive, -1, bgid);
        say("old");
        EXPECT_EQ(next().bid(), i);
      }
      first.unregister();
      RawGroup second(ring_, bgid, 4, kBytes, 0, 100);
      second.provide_all();
      for (std::uint16_t bid = 100; bid < 104; ++bid) {
        receive(Way::select, kReceive, -1, bgid);
        say("new");
        const Completion got = next();
        EXPECT_EQ(got.bid(), bid) << "group " << bgid << " after " << taken;
        EXPECT_EQ(second.text(bid, 3), "new");
      }
    }
  }
}

TEST_P(GroupFacts, TheGroupOfAMultishotIsThatOfItsArming) {
  RawGroup small(ring_, kGroup, 2, kBytes);
  RawGroup large(ring_, kGroup + 1, 4, 4 * kBytes);
  small.provide_all();
  large.provide_all();
  receive(Way::multishot);
  submit();
  say(std::string(3 * kBytes, 'x'));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(next().res, static_cast<int>(kBytes)) << "never by size";
  EXPECT_EQ(next().res, -ENOBUFS) << "nor from another group";
  receive(Way::multishot, kReceive, -1, kGroup + 1);
  EXPECT_EQ(next().res, static_cast<int>(kBytes));
}

TEST_P(GroupFacts, ALengthOfNoneIsTheWholeBuffer) {
  RawGroup group(ring_, kGroup, 4, kBytes);
  group.provide_all();
  for (const Way way : {Way::select, Way::multishot}) {
    receive(way);
    say(std::string(kBytes + 10, 'x'));
    EXPECT_EQ(next().res, static_cast<int>(kBytes));
    EXPECT_EQ(way == Way::multishot ? next().res : static_cast<int>(rest().size()), 10);
  }
}

/// The engine passes none. Linux 6.1 and 6.12 refuse another, later ones receive no more than it at once.
TEST_P(GroupFacts, ALengthOfAMultishotIsRefusedOrKept) {
  RawGroup group(ring_, kGroup, 8, kBytes);
  group.provide_all();
  EXPECT_EQ(result_of_multishot(0), 10);
  const int capped = result_of_multishot(4);
  EXPECT_TRUE(capped == -EINVAL || capped == 4) << capped;
}

TEST_P(GroupFacts, AnotherRingUnderTheNumberServesWhatIsArmed) {
  for (const Way way : {Way::select, Way::multishot}) {
    RawGroup first(ring_, kGroup, 4, kBytes);
    first.provide_all();
    receive(way);
    EXPECT_TRUE(all().empty());
    first.unregister();
    RawGroup second(ring_, kGroup, 4, kBytes, 0, 100);
    ASSERT_EQ(second.error(), 0);
    second.provide_all();
    EXPECT_TRUE(all().empty());
    say("from the second");
    const Completion got = next();
    EXPECT_EQ(got.bid(), 100U);
    EXPECT_EQ(second.text(100, 15), "from the second");
    EXPECT_EQ(got.more(), way == Way::multishot);
  }
}

TEST_P(GroupFacts, WithoutARingWhatIsArmedIsENOBUFSWithTheNextData) {
  for (const Way way : {Way::select, Way::multishot}) {
    RawGroup group(ring_, kGroup, 4, kBytes);
    group.provide_all();
    receive(way);
    submit();
    group.unregister();
    EXPECT_TRUE(all().empty());
    say("kept");
    EXPECT_EQ(next().res, -ENOBUFS);
    EXPECT_EQ(rest(), "kept");
  }
}

class SwapFacts : public FactsTest {
 protected:
  SwapFacts() : FactsTest(kDeferred) {}
  void SetUp() override {
    FactsTest::SetUp();
    if (IsSkipped()) return;
    if (const std::string why = ring_.missing_multishot(); !why.empty()) GTEST_SKIP() << why;
  }
  ~SwapFacts() override {
    shutdown(sockets_.near.get(), SHUT_RDWR);
    if (peer_.joinable()) peer_.join();
  }

  void start_flood() {
    peer_ = std::thread([this] {
      std::string text(1000, '\0');
      for (std::uint64_t at = 0;; at += text.size()) {
        for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(at + i);
        if (send(sockets_.far.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return;
      }
    });
  }
  /// Checks its bytes, gives its buffer back, and arms again what has ended.
  void take(const Completion& got, RawGroup& group, bool give_back) {
    if (!got.more()) receive(Way::multishot);
    ASSERT_TRUE(got.res > 0 || got.res == -ENOBUFS) << got.res;
    if (got.res < 0) return;
    ASSERT_TRUE(group.owns(got.bid())) << "a buffer of the other ring";
    for (const char byte : group.text(got.bid(), static_cast<std::size_t>(got.res)))
      ASSERT_EQ(byte, static_cast<char>(received_++));
    if (give_back) group.provide(got.bid());
  }

  std::uint64_t received_ = 0;
  std::thread peer_;
};

TEST_F(SwapFacts, UnderAFloodNoBufferOfTheOldRingComesAfterItsEnd) {
  auto group = std::make_unique<RawGroup>(ring_, kGroup, 8, kBytes);
  group->provide_all();
  receive(Way::multishot);
  submit();
  start_flood();
  for (int swap = 0; swap < steps(2000) && !HasFailure(); ++swap) {
    for (int i = 0; i < swap % 8; ++i) take(next(), *group, true);
    group->unregister();
    for (Completion posted; peek(posted);) take(posted, *group, false);
    group = std::make_unique<RawGroup>(ring_, kGroup, 8, kBytes, 0, swap % 2 == 0 ? 100 : 0);
    ASSERT_EQ(group->error(), 0);
    group->provide_all();
  }
  EXPECT_GT(received_, 0U);
}

}  // namespace
}  // namespace weir::testing
