#include "kernel/facts.h"

// Rings whose buffers are consumed piece by piece (Linux 6.12), and receives of several buffers at once (6.10).

namespace weir::testing {
namespace {

class IncrementalFacts : public FactsOnBothRings {
 protected:
  void SetUp() override {
    FactsOnBothRings::SetUp();
    if (IsSkipped()) return;
    if (const std::string why = ring_.missing_multishot(); !why.empty()) GTEST_SKIP() << why;
    group_ = std::make_unique<RawGroup>(ring_, kGroup, 4, kBytes, os::kernel::kBufferRingIncremental);
    if (group_->error() == -EINVAL) GTEST_SKIP() << "no incremental buffer rings before Linux 6.12";
    ASSERT_EQ(group_->error(), 0);
  }
  /// The next completion is a piece of the buffer, from `from` on.
  void expect_piece(std::uint16_t bid, std::size_t from, const std::string& text, bool keeps) {
    const Completion got = next();
    ASSERT_EQ(got.res, static_cast<int>(text.size()));
    ASSERT_TRUE(got.has_buffer());
    EXPECT_EQ(got.bid(), bid);
    EXPECT_EQ(got.keeps_buffer(), keeps) << "from " << from;
    EXPECT_EQ(group_->text(bid, text.size(), from), text);
  }
  /// Nothing of a buffer is told or used by it.
  void expect_end(const Completion& end, int result) {
    EXPECT_EQ(end.res, result);
    EXPECT_FALSE(end.has_buffer());
    EXPECT_FALSE(end.more());
  }

  std::unique_ptr<RawGroup> group_;
};
FACTS_ON_BOTH_RINGS(IncrementalFacts);

TEST_P(IncrementalFacts, PiecesFollowInABufferUntilItIsFull) {
  group_->provide_all();
  receive(Way::multishot);
  submit();
  for (std::size_t from = 0; from < kBytes; from += 64) {
    say(std::string(64, static_cast<char>('a' + from / 64)));
    expect_piece(0, from, std::string(64, static_cast<char>('a' + from / 64)), from + 64 < kBytes);
  }
  say("first of the next");
  expect_piece(1, 0, "first of the next", true);
}

TEST_P(IncrementalFacts, AMessageIsSplitOverTheEndOfABuffer) {
  group_->provide_all();
  receive(Way::multishot);
  submit();
  say(std::string(200, 'a'));
  expect_piece(0, 0, std::string(200, 'a'), true);
  say(std::string(100, 'b'));
  expect_piece(0, 200, std::string(56, 'b'), false);
  expect_piece(1, 0, std::string(44, 'b'), true);
}

TEST_P(IncrementalFacts, TheKernelRewritesTheEntry) {
  group_->provide_all();
  const auto start = reinterpret_cast<std::uintptr_t>(group_->buffer(0));
  EXPECT_EQ(group_->entry(0).addr, start);
  receive(Way::select);
  say(std::string(100, 'a'));
  expect_piece(0, 0, std::string(100, 'a'), true);
  EXPECT_EQ(group_->entry(0).addr, start + 100);
  EXPECT_EQ(group_->entry(0).len, kBytes - 100);
  EXPECT_EQ(group_->entry(0).bid, 0U);
  EXPECT_EQ(group_->entry(1).len, kBytes);
}

TEST_P(IncrementalFacts, ConnectionsShareABuffer) {
  group_->provide_all();
  const SocketPair other = SocketPair::local();
  receive(Way::multishot);
  receive(Way::multishot, 7, other.near.get());
  submit();
  say("mine");
  expect_piece(0, 0, "mine", true);
  say(other, "theirs");
  expect_piece(0, 4, "theirs", true);
  say("mine again");
  expect_piece(0, 10, "mine again", true);
}

TEST_P(IncrementalFacts, NeitherACancelNorAnEndUsesTheBuffer) {
  group_->provide_all();
  for (const Way way : {Way::select, Way::multishot}) {
    receive(way);
    cancel(kReceive);
    for (const Completion& each : all()) {
      if (each.name == kReceive) expect_end(each, -ECANCELED);
    }
  }
  for (const Way way : {Way::select, Way::multishot}) {
    const SocketPair ended = SocketPair::local();
    receive(way, kReceive, ended.near.get());
    submit();
    finish(ended);
    expect_end(next(), 0);
  }
  receive(Way::multishot);
  submit();
  say("from the start");
  expect_piece(0, 0, "from the start", true);
  finish(sockets_);
  expect_end(next(), 0);
  sockets_ = SocketPair::local();
  receive(Way::multishot);
  submit();
  say("and on");
  expect_piece(0, 14, "and on", true);
}

TEST_P(IncrementalFacts, WithoutMoreBuffersAMultishotEndsAndItsDataStaysQueued) {
  group_->provide(0);
  receive(Way::multishot);
  submit();
  say(std::string(kBytes, 'a') + "rest");
  expect_piece(0, 0, std::string(kBytes, 'a'), false);
  expect_end(next(), -ENOBUFS);
  group_->provide(3);
  receive(Way::multishot);
  expect_piece(3, 0, "rest", true);
}

class BundleFacts : public FactsOnBothRings {
 protected:
  void SetUp() override {
    FactsOnBothRings::SetUp();
    if (IsSkipped()) return;
    if ((ring_.get().features & os::kernel::kFeatureBundle) == 0) GTEST_SKIP() << "no bundles before Linux 6.10";
    group_ = std::make_unique<RawGroup>(ring_, kGroup, 8, kBytes);
    ASSERT_EQ(group_->error(), 0);
  }
  void receive_bundle(Way way) {
    io_uring_sqe& sqe = receive(way);
    sqe.ioprio = static_cast<std::uint16_t>(sqe.ioprio | os::kernel::kRecvsendBundle);
  }

  std::unique_ptr<RawGroup> group_;
};
FACTS_ON_BOTH_RINGS(BundleFacts);

/// How many buffers a completion has is the kernel's choice: which ones and how full follows from the first and the
/// sum.
TEST_P(BundleFacts, ACompletionIsOfBuffersInTheOrderOfTheRing) {
  const std::array<std::uint16_t, 8> order{5, 2, 7, 0, 3, 1, 6, 4};
  for (const std::uint16_t bid : order) group_->provide(bid);
  std::string text;
  for (std::size_t i = 0; i < 4 * kBytes + 50; ++i) text += static_cast<char>(i * 7 + i / 256);
  sockets_ = tcp_pair();
  say(text);
  receive_bundle(Way::multishot);
  std::string got;
  const auto* at = order.begin();
  bool several = false;
  while (got.size() < text.size() && !HasFailure()) {
    const Completion each = next();
    ASSERT_TRUE(each.has_buffer());
    ASSERT_TRUE(each.more());
    ASSERT_EQ(each.bid(), *at) << "a buffer that was begun is used up";
    several = several || each.res > static_cast<int>(kBytes);
    for (auto left = static_cast<std::size_t>(each.res); left > 0; ++at) {
      ASSERT_NE(at, order.end());
      const std::size_t bytes = std::min<std::size_t>(left, kBytes);
      got += group_->text(*at, bytes);
      left -= bytes;
    }
  }
  EXPECT_EQ(got, text);
  EXPECT_TRUE(several);
}

TEST_P(BundleFacts, AMultishotWithoutBuffersEndsWithoutMore) {
  group_->provide(3);
  group_->provide(1);
  receive_bundle(Way::multishot);
  submit();
  const std::string text(2 * kBytes + 50, 'x');
  say(text);
  std::size_t received = 0;
  Completion got;
  do {
    got = next();
    ASSERT_TRUE(got.res > 0 || got.res == -ENOBUFS) << got.res;
    received += got.res > 0 ? static_cast<std::size_t>(got.res) : 0;
  } while (got.more());
  EXPECT_EQ(received, 2 * kBytes);
  EXPECT_TRUE(all().empty());
  EXPECT_EQ(rest().size(), 50U);
}

}  // namespace
}  // namespace weir::testing
