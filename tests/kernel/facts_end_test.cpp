#include "kernel/facts.h"

// How a connection's end is told, and what is no end.

namespace weir::testing {
namespace {

class EndFacts : public FactsOfEachWay {
 protected:
  /// The end that comes to what waits: no data, no buffer, nothing after it.
  void expect_end(int result) {
    const Completion end = next();
    if (way() == Way::poll) {
      EXPECT_GT(end.res & POLLIN, 0) << "a receive then tells which end it is";
    } else {
      EXPECT_EQ(end.res, result);
    }
    EXPECT_FALSE(end.has_buffer());
    EXPECT_FALSE(end.more());
    EXPECT_TRUE(all().empty());
  }
  void expect_data(const std::string& text) {
    const Completion got = next();
    EXPECT_GT(got.res, 0);
    EXPECT_TRUE(way() == Way::poll || text_of(got) == text);
  }
};
FACTS_OF_EACH_WAY(EndFacts, kWays, kBothRings);

TEST_P(EndFacts, APeerThatHasFinishedIsZeroWithoutABuffer) {
  arm();
  submit();
  finish(sockets_);
  expect_end(0);
}

TEST_P(EndFacts, APeerThatClosesIsZeroWithoutABuffer) {
  arm();
  submit();
  sockets_.far.reset();
  expect_end(0);
}

TEST_P(EndFacts, AnEndFromBeforeTheRequestIsToldToIt) {
  finish(sockets_);
  arm();
  expect_end(0);
}

TEST_P(EndFacts, AShutdownOfItsOwnSideEndsIt) {
  for (const int how : {SHUT_RD, SHUT_RDWR}) {
    sockets_ = SocketPair::local();
    arm();
    submit();
    shutdown(sockets_.near.get(), how);
    expect_end(0);
  }
}

TEST_P(EndFacts, AResetIsECONNRESETWithoutABuffer) {
  sockets_ = tcp_pair();
  arm();
  submit();
  close_with_reset(sockets_.far);
  expect_end(-ECONNRESET);
}

TEST_P(EndFacts, DataBeforeTheEndComesFirst) {
  arm();
  submit();
  say("last words");
  finish(sockets_);
  expect_data("last words");
  if (way() == Way::poll) return;
  if (way() != Way::multishot) arm();
  expect_end(0);
}

TEST_P(EndFacts, ClosingItsDescriptorEndsNothing) {
  arm();
  submit();
  sockets_.near.reset();
  EXPECT_TRUE(all().empty());
  say("still delivered");
  expect_data("still delivered");
}

TEST_P(EndFacts, WhatWaitsOnAClosedDescriptorIsCancelledByItsName) {
  arm();
  submit();
  sockets_.near.reset();
  cancel(kReceive);
  const std::vector<Completion> seen = all();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].res + seen[1].res, -ECANCELED);
  EXPECT_EQ(send(sockets_.far.get(), "x", 1, MSG_NOSIGNAL), -1) << "the socket is gone with its last request";
}

TEST_P(EndFacts, ADescriptorThatIsUsedAgainIsNoneOfItsConcern) {
  arm();
  submit();
  const int number = sockets_.near.get();
  SocketPair old{File(), std::move(sockets_.far)};
  sockets_.near.reset();
  sockets_ = SocketPair::local();
  EXPECT_EQ(std::min(sockets_.near.get(), sockets_.far.get()), number) << "the test shall use the number again";
  say("to the new one");
  EXPECT_TRUE(all().empty());
  say(old, "to the old one");
  expect_data("to the old one");
  EXPECT_EQ(rest(), "to the new one");
}

TEST_P(EndFacts, ABadDescriptorIsEBADF) {
  arm(kReceive, 1 << 20);
  EXPECT_EQ(next().res, -EBADF);
}

class AtOnceFacts : public FactsOnBothRings {};
FACTS_ON_BOTH_RINGS(AtOnceFacts);

/// The engine's receive of data that is known to be there does not wait, should another have taken it.
TEST_P(AtOnceFacts, AReceiveWithDontwaitIsEAGAINAtOnce) {
  const auto receive_at_once = [&] {
    prepare(kReceive, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, sockets_.near.get(), own_.data(), own_.size(), MSG_DONTWAIT);
    });
    const std::vector<Completion> seen = all();
    EXPECT_EQ(seen.size(), 1U);
    return seen.empty() ? 0 : seen[0].res;
  };
  EXPECT_EQ(receive_at_once(), -EAGAIN);
  say("four");
  EXPECT_EQ(receive_at_once(), 4);
  finish(sockets_);
  EXPECT_EQ(receive_at_once(), 0);
}

TEST_P(AtOnceFacts, AReceiveOnASocketThatDoesNotBlockWaitsAllTheSame) {
  fcntl(sockets_.near.get(), F_SETFL, O_NONBLOCK);
  receive(Way::into_buffer);
  EXPECT_TRUE(all().empty());
  say("five!");
  EXPECT_EQ(next().res, 5);
}

/// With a buffer, from Linux 6.17 on, it would tell of the data and of nothing more: hence the engine has a multishot
/// look for data first only where its ring is empty.
TEST_P(AtOnceFacts, AMultishotThatLooksFirstOnAnEmptyRingTellsOfDataAndEndByENOBUFS) {
  if (!missing(Way::multishot).empty()) GTEST_SKIP() << missing(Way::multishot);
  RawGroup empty(ring_, kGroup, 8, kBytes);
  say("data");
  finish(sockets_);
  receive(Way::multishot).ioprio |= IORING_RECVSEND_POLL_FIRST;
  const std::vector<Completion> seen = all();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].res, -ENOBUFS);
  EXPECT_FALSE(seen[0].more());
  EXPECT_EQ(rest(), "data");
}

TEST_P(AtOnceFacts, APollOfDataThatIsThereEndsAtOnce) {
  say("there");
  receive(Way::poll);
  const std::vector<Completion> seen = all();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_GT(seen[0].res & POLLIN, 0);
  EXPECT_FALSE(seen[0].more());
  EXPECT_EQ(rest(), "there");
}

}  // namespace
}  // namespace weir::testing
