#include "receive/predictor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "seed.h"

namespace weir::detail {
namespace {

constexpr std::array<std::uint32_t, 8> kSizes{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};

const SizeCosts& single_costs() {
  static const SizeCosts costs(kSizes, kSinglePrices);
  return costs;
}

const SizeCosts& multishot_costs() {
  static const SizeCosts costs(kSizes, kMultishotPrices);
  return costs;
}

/// What a receiver does with an arrival; the sizes that it asked for.
std::vector<std::uint32_t> drain(Predictor& predictor, std::uint32_t arrival) {
  std::vector<std::uint32_t> asked;
  while (arrival > 0) {
    asked.push_back(predictor.predict());
    const std::uint32_t bytes = std::min(arrival, asked.back());
    predictor.observe(bytes, asked.back());
    arrival -= bytes;
  }
  return asked;
}

void drain(Predictor& predictor, std::uint32_t arrival, int times) {
  for (int i = 0; i < times; ++i) drain(predictor, arrival);
}

TEST(Predictor, FindsTheSizeThatHoldsWhatComes) {
  for (const SizeCosts* costs : {&single_costs(), &multishot_costs()}) {
    for (const std::uint32_t size : kSizes) {
      Predictor predictor(*costs);
      drain(predictor, size - 1, 100);
      EXPECT_EQ(predictor.predict(), size);
    }
  }
}

TEST(Predictor, FullReceivesGrowItWithinTheArrival) {
  Predictor predictor(single_costs());
  drain(predictor, 100, 100);
  const std::vector<std::uint32_t> asked = drain(predictor, 1U << 20);
  EXPECT_EQ(asked.front(), 512U);
  EXPECT_TRUE(std::is_sorted(asked.begin(), asked.end()));
  EXPECT_EQ(asked.back(), 65536U);
}

TEST(Predictor, AnArrivalOnItsOwnIsNotTheRule) {
  Predictor predictor(single_costs());
  drain(predictor, 100, 100);
  drain(predictor, 1U << 20);
  EXPECT_EQ(predictor.predict(), 512U);
}

TEST(Predictor, SmallArrivalsShrinkIt) {
  for (const SizeCosts* costs : {&single_costs(), &multishot_costs()}) {
    Predictor predictor(*costs);
    drain(predictor, 60000, 200);
    ASSERT_EQ(predictor.predict(), 65536U);
    drain(predictor, 300, 100);
    EXPECT_LE(predictor.predict(), 8192U);
    drain(predictor, 300, 400);
    EXPECT_EQ(predictor.predict(), 512U);
  }
}

TEST(Predictor, ABurstMovesAMultishotBeforeItEnds) {
  Predictor predictor(multishot_costs());
  const std::uint32_t first = predictor.predict();
  for (std::uint32_t received = 0; received < 32768; received += first) predictor.observe(first, first);
  EXPECT_GT(predictor.predict(), first);
}

TEST(Predictor, AnEndlessArrivalGrowsAMultishot) {
  Predictor predictor(multishot_costs());
  drain(predictor, 100, 1000);
  ASSERT_EQ(predictor.predict(), 512U);
  for (int i = 0; i < 20000; ++i) predictor.observe(predictor.predict(), predictor.predict());
  EXPECT_EQ(predictor.predict(), 65536U);
}

TEST(Predictor, AMultishotStaysForLessThanAChangeCosts) {
  Predictor predictor(multishot_costs());
  const std::uint32_t first = predictor.predict();
  ASSERT_GT(first, 512U);
  drain(predictor, 100, 5);  // 154 ns dearer each than by 512 bytes
  EXPECT_EQ(predictor.predict(), first);
  drain(predictor, 100, 100);
  EXPECT_EQ(predictor.predict(), 512U);
}

TEST(Predictor, TakingTurnsIsNoReasonToChange) {
  Predictor predictor(multishot_costs());
  drain(predictor, 100, 100);
  drain(predictor, 10000, 100);
  std::uint32_t held = predictor.predict();
  int changes = 0;
  for (int i = 0; i < 10000; ++i) {
    drain(predictor, i % 2 == 0 ? 100 : 10000);
    changes += predictor.predict() != held ? 1 : 0;
    held = predictor.predict();
  }
  EXPECT_LE(changes, 4);
}

/// Buffers that were queued before the prediction changed, or another size than was asked for.
TEST(Predictor, LearnsTheSameFromBuffersOfOtherSizes) {
  for (const std::uint32_t capacity : kSizes) {
    Predictor predictor(multishot_costs());
    for (int i = 0; i < 200; ++i) {
      for (std::uint32_t left = 3000; left > 0;) {
        const std::uint32_t bytes = std::min(left, capacity);
        predictor.observe(bytes, capacity);
        left -= bytes;
      }
    }
    EXPECT_EQ(predictor.predict(), 4096U) << "by buffers of " << capacity;
  }
}

TEST(Predictor, DearMemoryMakesItSmaller) {
  const SizeCosts dear(kSizes, {.byte = 0.5});
  Predictor cheap_one(single_costs());
  Predictor dear_one(dear);
  for (const std::uint32_t arrival : {100U, 3000U}) {
    drain(cheap_one, arrival, 1);
    drain(dear_one, arrival, 1);
  }
  for (int i = 0; i < 100; ++i) {
    for (const std::uint32_t arrival : {100U, 3000U}) {
      drain(cheap_one, arrival);
      drain(dear_one, arrival);
    }
  }
  EXPECT_LT(dear_one.predict(), cheap_one.predict());
}

TEST(Predictor, NeverLeavesTheTable) {
  std::mt19937_64 random(testing::seed());
  const std::vector<std::vector<std::uint32_t>> tables{
      {4096}, {64, 2U << 20}, {512, 2048, 16384}, {kSizes.begin(), kSizes.end()}};
  for (const auto& table : tables) {
    for (const SizePrices& prices : {kSinglePrices, kMultishotPrices, SizePrices{.byte = 0.5, .stale = 8}}) {
      const SizeCosts costs(table, prices);
      Predictor predictor(costs);
      for (int i = 0; i < 20000; ++i) {
        const std::uint32_t asked = predictor.predict();
        ASSERT_TRUE(std::binary_search(table.begin(), table.end(), asked));
        const auto capacity = random() % 2 == 0 ? asked : static_cast<std::uint32_t>(64 << random() % 16);
        predictor.observe(random() % 4 == 0 ? capacity : static_cast<std::uint32_t>(1 + random() % capacity), capacity);
      }
    }
  }
}

TEST(Predictor, OfManySizesItKnowsSome) {
  std::vector<std::uint32_t> many;
  for (std::uint32_t size = 64; size <= 64 * 120; size += 64) many.push_back(size);
  const SizeCosts costs(many, kSinglePrices);
  Predictor predictor(costs);
  drain(predictor, 10, 100);
  EXPECT_EQ(predictor.predict(), many.front());
  drain(predictor, 7600, 300);
  EXPECT_EQ(predictor.predict(), many.back());
}

TEST(Predictor, OneSizeIsAllThereIs) {
  constexpr std::array<std::uint32_t, 1> only{4096};
  for (const SizePrices& prices : {kSinglePrices, kMultishotPrices}) {
    const SizeCosts costs(only, prices);
    Predictor predictor(costs);
    for (const std::uint32_t bytes : {1U, 1U, 4096U, 4096U, 1U, 1U}) {
      predictor.observe(bytes, 4096);
      EXPECT_EQ(predictor.predict(), 4096U);
    }
  }
}

}  // namespace
}  // namespace weir::detail
