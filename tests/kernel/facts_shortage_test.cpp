#include "kernel/facts.h"

// Receives for which the kernel picks a buffer, and finds none.

namespace weir::testing {
namespace {

class ShortageFacts : public FactsOnBothRings {
 protected:
  void SetUp() override {
    FactsOnBothRings::SetUp();
    if (IsSkipped()) return;
    if (const std::string why = ring_.missing_multishot(); !why.empty()) GTEST_SKIP() << why;
    group_ = std::make_unique<RawGroup>(ring_, kGroup, 8, kBytes);
    ASSERT_EQ(group_->error(), 0);
  }
  /// A receive that waits for the socket to become readable before it looks for a buffer.
  void receive_poll_first(Way way) { receive(way).ioprio |= IORING_RECVSEND_POLL_FIRST; }
  void expect_refused(const Completion& got) {
    EXPECT_EQ(got.name, kReceive);
    EXPECT_EQ(got.res, -ENOBUFS);
    EXPECT_EQ(got.flags & (IORING_CQE_F_BUFFER | IORING_CQE_F_MORE), 0U);
  }
  void expect_text(const Completion& got, std::uint16_t bid, const std::string& text) {
    ASSERT_EQ(got.res, static_cast<int>(text.size()));
    ASSERT_TRUE(got.has_buffer());
    EXPECT_EQ(got.bid(), bid);
    EXPECT_EQ(group_->text(bid, text.size()), text);
  }
  /// Armed, the multishot takes buffers 0 and 1 and is ended for want of another. Linux 6.1 and 6.12 tell that with
  /// the last buffer, others with the data after it.
  void exhaust_multishot() {
    group_->provide(0);
    group_->provide(1);
    receive(Way::multishot);
    submit();
    for (std::uint16_t bid = 0; bid < 2; ++bid) {
      say("one");
      const Completion got = next();
      expect_text(got, bid, "one");
      EXPECT_TRUE(got.more());
    }
    say("queued");
    expect_refused(next());
    EXPECT_TRUE(all().empty());
  }

  std::unique_ptr<RawGroup> group_;
};
FACTS_ON_BOTH_RINGS(ShortageFacts);

TEST_P(ShortageFacts, AnEmptyGroupIsENOBUFSAtOnce) {
  for (const Way way : {Way::select, Way::multishot}) {
    receive(way);
    const std::vector<Completion> seen = all();
    ASSERT_EQ(seen.size(), 1U) << name_of(way);
    expect_refused(seen[0]);
  }
}

TEST_P(ShortageFacts, AGroupThatIsNotThereIsENOBUFSToo) {
  for (const Way way : {Way::select, Way::multishot}) {
    receive(way, kReceive, -1, kGroup + 1);
    const std::vector<Completion> seen = all();
    ASSERT_EQ(seen.size(), 1U) << name_of(way);
    expect_refused(seen[0]);
  }
}

TEST_P(ShortageFacts, PollFirstOnAnEmptyGroupWaitsAndIsENOBUFSWithTheData) {
  for (const Way way : {Way::select, Way::multishot}) {
    receive_poll_first(way);
    EXPECT_TRUE(all().empty()) << name_of(way);
    say("data");
    expect_refused(next());
    EXPECT_EQ(rest(), "data") << "it is still in the socket";
  }
}

TEST_P(ShortageFacts, PollFirstUsesBuffersThatCameAfterIt) {
  for (const Way way : {Way::select, Way::multishot}) {
    receive_poll_first(way);
    EXPECT_TRUE(all().empty());
    const std::uint16_t bid = way == Way::select ? 3 : 5;
    group_->provide(bid);
    EXPECT_TRUE(all().empty()) << "a buffer alone ends nothing";
    say("data");
    expect_text(next(), bid, "data");
  }
}

/// So that any number of connections may wait on a small group.
TEST_P(ShortageFacts, ABufferIsTakenWhenDataComesNotBefore) {
  constexpr std::uint64_t kMany = 200;
  group_->provide(0);
  std::vector<SocketPair> pairs;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    pairs.push_back(SocketPair::local());
    receive(i % 2 == 0 ? Way::select : Way::multishot, 100 + i, pairs.back().near.get());
    EXPECT_TRUE(all().empty()) << "arming took the buffer";
  }
  say(pairs[kMany - 2], "the last but one");
  const Completion got = next();
  EXPECT_EQ(got.name, 100 + kMany - 2);
  expect_text(got, 0, "the last but one");
}

TEST_P(ShortageFacts, AMultishotWithoutBuffersEndsAndItsDataStaysQueued) {
  exhaust_multishot();
  EXPECT_EQ(rest(), "queued");
}

TEST_P(ShortageFacts, BuffersDoNotReviveItButArmingAgainDoes) {
  exhaust_multishot();
  group_->provide(6);
  say(" behind");
  EXPECT_TRUE(all().empty());
  receive(Way::multishot);
  expect_text(next(), 6, "queued behind");
}

TEST_P(ShortageFacts, AReceiveOfOneMessageLeavesTheRestQueuedToo) {
  group_->provide(0);
  receive(Way::select);
  submit();
  say(std::string(kBytes, 'a') + "rest");
  expect_text(next(), 0, std::string(kBytes, 'a'));
  receive(Way::select);
  expect_refused(next());
  EXPECT_EQ(rest(), "rest");
}

TEST_P(ShortageFacts, AnEndIsHiddenBehindENOBUFSAndArmingAgainShowsIt) {
  for (const Way way : {Way::select, Way::multishot}) {
    sockets_ = SocketPair::local();
    receive_poll_first(way);
    submit();
    finish(sockets_);
    expect_refused(next());
    receive(way);
    expect_refused(next());
    group_->provide(7);
    receive(way);
    const Completion end = next();
    EXPECT_EQ(end.res, 0);
    EXPECT_FALSE(end.has_buffer());
    receive_poll_first(way);
    const Completion again = next();
    EXPECT_EQ(again.res, 0) << "an end is told as often as it is asked for";
    group_->unregister();
    group_ = std::make_unique<RawGroup>(ring_, kGroup, 8, kBytes);
  }
}

TEST_P(ShortageFacts, LosersKeepTheirDataForAnotherRound) {
  constexpr std::uint64_t kMany = 12;
  group_->provide_all();
  std::vector<SocketPair> pairs;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    pairs.push_back(SocketPair::local());
    receive(Way::multishot, 100 + i, pairs.back().near.get());
    submit();
  }
  for (std::uint64_t i = 0; i < kMany; ++i) say(pairs[i], "n" + std::to_string(i));
  std::vector<std::string> got(kMany);
  std::vector<std::uint64_t> losers;
  while (std::size_t(std::count(got.begin(), got.end(), "")) > losers.size()) {
    const Completion each = next();
    if (HasFailure()) return;
    const std::uint64_t who = each.name - 100;
    EXPECT_TRUE(each.res > 0 || each.res == -ENOBUFS) << each.res;
    if (each.res > 0) {
      got[who] = group_->text(each.bid(), static_cast<std::size_t>(each.res));
    } else if (got[who].empty()) {
      losers.push_back(who);
    }
  }
  EXPECT_EQ(losers.size(), kMany - 8);
  (void)all();  // who got the last buffer ends at once on some kernels
  group_->provide_all();
  for (const std::uint64_t who : losers) {
    receive(Way::multishot, 100 + who, pairs[who].near.get());
    const Completion each = next();
    EXPECT_EQ(each.name, 100 + who);
    got[who] = group_->text(each.bid(), static_cast<std::size_t>(each.res));
  }
  for (std::uint64_t i = 0; i < kMany; ++i) EXPECT_EQ(got[i], "n" + std::to_string(i));
}

}  // namespace
}  // namespace weir::testing
