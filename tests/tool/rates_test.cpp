#include "rates.h"

#include <gtest/gtest.h>

#include "human.h"

namespace weir::tool {
namespace {

PoolView pool_of(std::uint32_t slot, std::uint64_t lends, std::uint64_t refills = 0) {
  ClassRow row{.bytes = 4096, .tally = {}};
  row.tally.lends = row.tally.magazine_lends = lends;
  row.tally.refills = refills;
  return {.slot = slot, .name = "pool", .arenas = {}, .nodes = {{.node = 0, .classes = {row}}}, .rings = {}};
}

ReceiverRow receiver_of(std::uint32_t slot, std::uint32_t thread, std::uint64_t receives, std::uint64_t bytes) {
  ReceiverRow row;
  row.slot = slot;
  row.own_thread = thread;
  row.receives = receives;
  row.bytes = bytes;
  return row;
}

TEST(Rates, AreWhatWasAddedASecond) {
  const Snapshot before{.program = {}, .pools = {pool_of(0, 100, 10)}, .receivers = {receiver_of(0, 7, 5, 1000)}};
  const Snapshot now{.program = {}, .pools = {pool_of(0, 300, 12)}, .receivers = {receiver_of(0, 7, 25, 9000)}};
  const auto rates = rates_of(before, now, 2);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ((*rates)[Counter::lends], 100);
  EXPECT_DOUBLE_EQ((*rates)[Counter::refills], 1);
  EXPECT_DOUBLE_EQ((*rates)[Counter::receives], 10);
  EXPECT_DOUBLE_EQ((*rates)[Counter::bytes], 4000);
  EXPECT_DOUBLE_EQ((*rates)[Counter::enobufs], 0);
  EXPECT_DOUBLE_EQ(hits(*rates).value_or(0), 0.99);
}

TEST(Rates, EachCounterIsItsOwn) {
  Tally tally;
  tally.lends = 1;
  tally.empty = 2;
  tally.refills = 3;
  tally.flushes = 4;
  ReceiverRow row = receiver_of(0, 1, 5, 6);
  row.enobufs = 7;
  row.wakes = 8;
  row.reclaimed = 9;
  tally.magazine_lends = 10;
  tally.ring_lends = 11;
  Totals totals = totals_of(tally);
  totals += totals_of(row);
  for (const auto& [counter, amount] : {std::pair{Counter::lends, 1},
                                        {Counter::empty, 2},
                                        {Counter::refills, 3},
                                        {Counter::flushes, 4},
                                        {Counter::receives, 5},
                                        {Counter::bytes, 6},
                                        {Counter::enobufs, 7},
                                        {Counter::wakes, 8},
                                        {Counter::reclaimed, 9},
                                        {Counter::magazine_lends, 10},
                                        {Counter::ring_lends, 11}}) {
    EXPECT_EQ(totals[counter], static_cast<std::uint64_t>(amount)) << kCounterNames[static_cast<std::size_t>(counter)];
  }
}

TEST(Rates, ACounterThatWentBackwardsIsTold) {
  const Snapshot before{.program = {}, .pools = {pool_of(0, 100)}, .receivers = {}};
  const Snapshot now{.program = {}, .pools = {pool_of(0, 99)}, .receivers = {}};
  EXPECT_FALSE(rates_of(before, now, 1));
  EXPECT_TRUE(rates_of(before, before, 1));
}

TEST(Rates, InNoTimeThereAreNone) {
  const Snapshot snapshot{.program = {}, .pools = {pool_of(0, 100)}, .receivers = {}};
  EXPECT_FALSE(rates_of(snapshot, snapshot, 0));
  EXPECT_FALSE(rates_of(Snapshot{}, Snapshot{}, 0));
}

TEST(Rates, ReceiversThatCameAndWentAreNotMistakenForEachOther) {
  const Snapshot before{.program = {}, .pools = {}, .receivers = {receiver_of(0, 7, 500, 0), receiver_of(1, 8, 50, 0)}};
  const Snapshot now{.program = {}, .pools = {}, .receivers = {receiver_of(0, 9, 3, 0), receiver_of(1, 8, 60, 0)}};
  const auto rates = rates_of(before, now, 1);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ((*rates)[Counter::receives], 3 + 10);
}

TEST(Rates, OfPoolsThatCameAndWent) {
  const Snapshot before{.program = {}, .pools = {pool_of(0, 500)}, .receivers = {}};
  const Snapshot now{.program = {}, .pools = {pool_of(1, 20)}, .receivers = {}};
  const auto rates = rates_of(before, now, 1);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ((*rates)[Counter::lends], 20);
}

TEST(Rates, CountWhatWasDoneBeforeTheEnd) {
  const Snapshot before{.program = {}, .pools = {pool_of(0, 500)}, .receivers = {receiver_of(0, 7, 50, 0)}};
  Snapshot now;
  now.ended_pools = {pool_of(0, 520)};
  now.ended_receivers = {receiver_of(0, 7, 53, 0)};
  const auto rates = rates_of(before, now, 1);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ((*rates)[Counter::lends], 20);
  EXPECT_DOUBLE_EQ((*rates)[Counter::receives], 3);
}

TEST(Rates, WhatGoesOnWithTheCountsOfWhatHasEndedDidNotDoItAllAtOnce) {
  Snapshot before;
  before.ended_pools = {pool_of(0, 500)};
  before.ended_receivers = {receiver_of(0, 7, 50, 0)};
  const Snapshot now{.program = {}, .pools = {pool_of(0, 501)}, .receivers = {receiver_of(0, 7, 52, 0)}};
  const auto rates = rates_of(before, now, 1);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ((*rates)[Counter::lends], 1);
  EXPECT_DOUBLE_EQ((*rates)[Counter::receives], 2);
}

TEST(Rates, HitsAreAPartOfWhatTheProgramLends) {
  Rates rates;
  EXPECT_FALSE(hits(rates)) << "there was no lend";
  rates[Counter::lends] = 50;
  EXPECT_FALSE(hits(rates)) << "no magazine lent anything: they are traced, or the kernel's";
  rates[Counter::ring_lends] = 40;
  rates[Counter::magazine_lends] = 10;
  EXPECT_DOUBLE_EQ(hits(rates).value_or(-1), 1);
  rates[Counter::refills] = 5;
  EXPECT_DOUBLE_EQ(hits(rates).value_or(-1), 0.5) << "what the kernel took from rings was no hit";
  rates[Counter::ring_lends] = 30;
  EXPECT_DOUBLE_EQ(hits(rates).value_or(-1), 0.25) << "ten were from the depot";
  rates[Counter::refills] = 30;  // those of rings
  EXPECT_DOUBLE_EQ(hits(rates).value_or(-1), 0);
}

TEST(Human, CountsAreShort) {
  for (const auto& [count, text] : {std::pair{0.0, "0"},
                                    {0.26, "0.3"},
                                    {1.0, "1"},
                                    {9.94, "9.9"},
                                    {9.96, "10"},
                                    {27.4, "27"},
                                    {999.4, "999"},
                                    {999.6, "1.0k"},
                                    {1000.0, "1k"},
                                    {1234.0, "1.2k"},
                                    {12'345.0, "12k"},
                                    {999'900.0, "1.0M"},
                                    {3.4e8, "340M"},
                                    {1.8e19, "18E"}}) {
    EXPECT_EQ(format_count(count), text) << count;
  }
}

}  // namespace
}  // namespace weir::tool
