#include "receive/timing_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "seed.h"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;
using Time = TimingWheel::Time;

constexpr auto kTick = 10ms;
const Time kStart = Time(std::chrono::hours(1000) + 3ms);

std::vector<std::uint32_t> expired(TimingWheel& wheel, Time now) {
  std::vector<std::uint32_t> ids;
  wheel.expire(now, [&](std::uint32_t id) { ids.push_back(id); });
  std::sort(ids.begin(), ids.end());
  return ids;
}

using Ids = std::vector<std::uint32_t>;

TEST(TimingWheel, AnAlarmGoesOffOnceNeverEarlyAndATickLateAtMost) {
  TimingWheel wheel(kTick, kStart);
  for (const auto after : {0ms, 1ms, 10ms, 99ms, 2560ms, 2561ms, 100'000ms}) {
    const Time when = kStart + after;
    TimingWheel fresh(kTick, kStart);
    fresh.set(7, when);
    Time now = kStart;
    Time went_off{};
    for (; went_off == Time{} && now < when + 1s; now += 1ms) {
      if (!expired(fresh, now).empty()) went_off = now;
    }
    EXPECT_GE(went_off, when);
    EXPECT_LE(went_off, std::max(when, kStart) + 2 * kTick);
    EXPECT_FALSE(fresh.has(7));
    EXPECT_TRUE(expired(fresh, when + 1h).empty());
  }
}

TEST(TimingWheel, SetMovesAndRemoveForgets) {
  TimingWheel wheel(kTick, kStart);
  wheel.set(1, kStart + 50ms);
  wheel.set(1, kStart + 500ms);
  wheel.set(2, kStart + 50ms);
  wheel.remove(2);
  wheel.remove(3);
  EXPECT_TRUE(expired(wheel, kStart + 400ms).empty());
  EXPECT_EQ(expired(wheel, kStart + 600ms), Ids{1});
}

TEST(TimingWheel, ByThenMovesOnlyForward) {
  TimingWheel wheel(kTick, kStart);
  wheel.set_by_then(1, kStart + 500ms);
  wheel.set_by_then(1, kStart + 900ms);
  wheel.set_by_then(2, kStart + 900ms);
  wheel.set_by_then(2, kStart + 500ms);
  EXPECT_EQ(expired(wheel, kStart + 600ms), (Ids{1, 2}));
}

TEST(TimingWheel, OneThatIsSetInItsVisitGoesOffLater) {
  TimingWheel wheel(kTick, kStart);
  wheel.set(1, kStart + 20ms);
  wheel.set(2, kStart + 20ms);
  int visits = 0;
  wheel.expire(kStart + 50ms, [&](std::uint32_t id) {
    ++visits;
    wheel.remove(3 - id);  // the other: it must not be visited
    wheel.set(id, kStart);
  });
  EXPECT_GE(visits, 1);
  EXPECT_FALSE(wheel.has(1) && wheel.has(2));
  EXPECT_TRUE(wheel.has(1) || wheel.has(2)) << "set for a time that is over, it waits for the next tick";
  EXPECT_EQ(expired(wheel, kStart + 70ms).size(), 1U);
}

TEST(TimingWheel, NextIsWhenThereIsSomethingToDo) {
  TimingWheel wheel(kTick, kStart);
  EXPECT_EQ(wheel.next(), Time::max());
  wheel.set(1, kStart + 700ms);
  wheel.set(2, kStart + 100ms);
  EXPECT_GE(wheel.next(), kStart + 100ms);
  EXPECT_LE(wheel.next(), kStart + 100ms + kTick);
  EXPECT_EQ(expired(wheel, wheel.next()), Ids{2});
  EXPECT_EQ(expired(wheel, wheel.next()), Ids{1});
  EXPECT_EQ(wheel.next(), Time::max());
}

/// A hundred thousand alarms at random, against a map of them.
TEST(TimingWheel, AgreesWithAPlainModel) {
  constexpr std::uint32_t kAlarms = 100'000;
  std::mt19937_64 random(testing::seed());
  TimingWheel wheel(kTick, kStart);
  std::vector<Time> model(kAlarms, Time::max());
  Time now = kStart;
  const auto tick_end = [](Time when) { return (when.time_since_epoch() + kTick - 1ns) / kTick; };
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 3000; ++i) {
      const auto id = static_cast<std::uint32_t>(random() % kAlarms);
      if (random() % 5 == 0) {
        wheel.remove(id);
        model[id] = Time::max();
      } else {
        const std::uint64_t most = random() % 4 == 0 ? 60'000 : 3000;
        model[id] = std::max(now + 1ns, now + std::chrono::milliseconds(random() % most));
        wheel.set(id, model[id]);
      }
    }
    now += std::chrono::milliseconds(random() % 10 == 0 ? random() % 10'000 : random() % 100);
    Time first = Time::max();
    std::size_t due = 0;
    for (const Time& when : model) {
      if (when == Time::max()) continue;
      due += tick_end(when) <= now.time_since_epoch() / kTick ? 1 : 0;
    }
    std::size_t seen = 0;
    wheel.expire(now, [&](std::uint32_t id) {
      ++seen;
      EXPECT_LE(model[id], now) << "early";
      model[id] = Time::max();
    });
    ASSERT_EQ(seen, due) << "round " << round;
    for (std::uint32_t id = 0; id < kAlarms; ++id) {
      ASSERT_EQ(wheel.has(id), model[id] != Time::max()) << id;
      first = std::min(first, model[id]);
    }
    ASSERT_LE(wheel.next(), first == Time::max() ? first : first + kTick);
    ASSERT_GT(wheel.next(), now - kTick);
  }
}

}  // namespace
}  // namespace weir::detail
