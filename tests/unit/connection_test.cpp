#include "receive/connection.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

namespace weir::detail {
namespace {

constexpr std::array<std::uint32_t, 1> kSizes{4096};
const os::Time kNow = os::Time(std::chrono::hours(1));

Connection connection_of(Strategy strategy) {
  Connection connection;
  connection.strategy = &facts_of(strategy);
  connection.predictor = Predictor(kSizes);
  connection.wanted = true;
  return connection;
}

/// The next request is with the kernel, and ends with this.
void answer(Connection& connection, int result) {
  connection.request = connection.next_request();
  if (connection.request == Request::poll) {
    connection.note_poll(result);
  } else {
    connection.note_receive(result, true, kNow);
  }
}

TEST(Connection, PollRecvPollsBeforeEachReceive) {
  Connection connection = connection_of(Strategy::poll_recv);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(connection.next_request(), Request::poll);
    answer(connection, 1);
    EXPECT_EQ(connection.next_request(), Request::take);
    answer(connection, 100);
  }
}

TEST(Connection, PollFirstReceivesUntilThereIsNoMore) {
  Connection connection = connection_of(Strategy::poll_first);
  EXPECT_EQ(connection.next_request(), Request::poll);
  answer(connection, 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(connection.next_request(), Request::take);
    answer(connection, 100);
  }
  answer(connection, -EAGAIN);
  EXPECT_EQ(connection.next_request(), Request::poll);
}

TEST(Connection, DirectWaitsWithABufferUntilItIsIdle) {
  Connection connection = connection_of(Strategy::direct);
  EXPECT_EQ(connection.next_request(), Request::wait);
  answer(connection, 100);
  EXPECT_EQ(connection.next_request(), Request::wait);
  connection.lapse = Lapse::idle;
  answer(connection, -ECANCELED);
  EXPECT_EQ(connection.next_request(), Request::poll);
  answer(connection, 1);
  EXPECT_EQ(connection.next_request(), Request::take);
  answer(connection, 100);
  EXPECT_EQ(connection.next_request(), Request::wait) << "data makes it direct again";
}

TEST(Connection, RingIsArmedAgainAfterItsIdleTime) {
  Connection connection = connection_of(Strategy::ring);
  EXPECT_EQ(connection.next_request(), Request::from_ring);
  connection.lapse = Lapse::idle;
  answer(connection, -ECANCELED);
  EXPECT_EQ(connection.next_request(), Request::poll);
  answer(connection, 1);
  EXPECT_EQ(connection.next_request(), Request::from_ring);
}

TEST(Connection, WhatEndsBeforeItsCancelIsNotSilent) {
  for (const int result : {100, -ENOBUFS, -EINTR}) {
    for (const Lapse lapse : {Lapse::idle, Lapse::deadline}) {
      Connection connection = connection_of(Strategy::ring);
      connection.lapse = lapse;
      answer(connection, result);
      EXPECT_EQ(connection.lapse, Lapse::none) << "a late cancel would end it";
      EXPECT_EQ(connection.next_request(), Request::from_ring);
    }
  }
}

TEST(Connection, OnlyDataIsActivity) {
  Connection connection = connection_of(Strategy::poll_first);
  answer(connection, 1);
  EXPECT_EQ(connection.active, os::Time{});
  answer(connection, -EAGAIN);
  EXPECT_EQ(connection.active, os::Time{});
  answer(connection, 1);
  answer(connection, 1);
  EXPECT_EQ(connection.active, kNow);
}

}  // namespace
}  // namespace weir::detail
