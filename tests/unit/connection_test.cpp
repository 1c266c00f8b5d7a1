#include "receive/connection.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

namespace weir::detail {
namespace {

constexpr std::array<std::uint32_t, 1> kSizes{4096};
const SizeCosts kCosts(kSizes, kSinglePrices);
const os::Time kNow = os::Time(std::chrono::hours(1));

Connection connection_of(Strategy strategy) {
  Connection connection;
  connection.strategy = &facts_of(strategy);
  connection.predictor = Predictor(kCosts);
  connection.wanted = true;
  return connection;
}

/// The next request is with the kernel, and ends with this.
void answer(Connection& connection, int result) {
  connection.request = connection.next_request();
  if (connection.request == Request::poll) {
    connection.note_poll(result);
  } else {
    connection.note_receive(result, kSizes[0], true, kNow);
  }
}

TEST(Connection, PollRecvPollsBeforeEachReceive) {
  Connection connection = connection_of(Strategy::poll_recv);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(connection.next_request(), Request::poll);
    answer(connection, 1);
    EXPECT_EQ(connection.next_request(), Request::recv_now);
    answer(connection, 100);
  }
}

TEST(Connection, PollFirstPollsOnceAndThenWaitsWithABuffer) {
  Connection connection = connection_of(Strategy::poll_first);
  connection.silent = true;
  EXPECT_EQ(connection.next_request(), Request::poll);
  answer(connection, 1);
  EXPECT_EQ(connection.next_request(), Request::recv_now);
  for (int i = 0; i < 3; ++i) {
    answer(connection, 100);
    EXPECT_EQ(connection.next_request(), Request::recv);
  }
}

TEST(Connection, PollAdaptiveWaitsWithABufferWhileDataComesOften) {
  Connection connection = connection_of(Strategy::poll_adaptive);
  os::Time now = kNow;
  const auto data_after = [&](std::chrono::milliseconds pause) {
    now += pause;
    connection.note_taken(100, kSizes[0], now);
  };
  connection.active = now;
  for (int i = 0; i < 4; ++i) data_after(std::chrono::milliseconds(1));
  EXPECT_EQ(connection.next_request(), Request::recv);
  data_after(std::chrono::hours(1));
  data_after(std::chrono::seconds(1));
  EXPECT_EQ(connection.next_request(), Request::poll);
  for (int i = 0; i < 8; ++i) data_after(std::chrono::milliseconds(1));
  EXPECT_EQ(connection.next_request(), Request::recv) << "an hour of silence counts for too long";
}

TEST(Connection, RingAdaptiveIsArmedWhileSmallDataComesOften) {
  Connection connection = connection_of(Strategy::ring_adaptive);
  connection.pause = Connection::first_pause(*connection.strategy);
  connection.active = kNow;
  os::Time now = kNow;
  const auto data_after = [&](std::chrono::milliseconds pause) {
    now += pause;
    connection.note_taken(100, kSizes[0], now);
  };
  int polls = 0;
  for (; connection.next_request() == Request::poll && polls < 10; ++polls) data_after(std::chrono::milliseconds(1));
  EXPECT_EQ(polls, 4);
  EXPECT_EQ(connection.next_request(), Request::from_ring);
  data_after(std::chrono::hours(1));
  EXPECT_EQ(connection.next_request(), Request::poll);
  connection.has_data = true;
  EXPECT_EQ(connection.next_request(), Request::recv_now);
  for (int i = 0; i < 2; ++i) data_after(std::chrono::milliseconds(1));
  EXPECT_EQ(connection.next_request(), Request::from_ring) << "an hour of silence counts for too long";
}

TEST(Connection, AReceiveThatFoundNoBufferHasData) {
  Connection connection = connection_of(Strategy::ring);
  answer(connection, -ENOBUFS);
  EXPECT_TRUE(connection.has_data);
  answer(connection, 100);
  EXPECT_FALSE(connection.has_data);
}

TEST(Connection, TheEndOfACancelledRequestChangesTheName) {
  Connection connection = connection_of(Strategy::direct);
  const std::uint16_t before = connection.generation;
  answer(connection, 100);
  EXPECT_EQ(connection.generation, before);
  connection.cancelling = true;
  answer(connection, 100);
  EXPECT_NE(connection.generation, before) << "a late cancel would find the next request";
}

TEST(Connection, DirectWaitsWithABufferUntilItIsIdle) {
  Connection connection = connection_of(Strategy::direct);
  EXPECT_EQ(connection.next_request(), Request::recv);
  answer(connection, 100);
  EXPECT_EQ(connection.next_request(), Request::recv);
  connection.lapse = Lapse::idle;
  answer(connection, -ECANCELED);
  EXPECT_EQ(connection.next_request(), Request::poll);
  answer(connection, 1);
  EXPECT_EQ(connection.next_request(), Request::recv_now);
  answer(connection, 100);
  EXPECT_EQ(connection.next_request(), Request::recv) << "data makes it direct again";
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
  Connection connection = connection_of(Strategy::poll_recv);
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
