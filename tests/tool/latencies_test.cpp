#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "load/latencies.h"

namespace weir::load {
namespace {

using std::chrono::nanoseconds;

TEST(Latencies, OfNothingAreZero) {
  EXPECT_EQ(Latencies().at(0.5), nanoseconds(0));
  EXPECT_EQ(Latencies().longest(), nanoseconds(0));
}

TEST(Latencies, AreNeverTooShortAndALittleTooLongAtMost) {
  std::mt19937_64 random{7};
  std::vector<nanoseconds> all;
  Latencies latencies;
  for (int i = 0; i < 100'000; ++i) {
    const nanoseconds duration(random() >> (2 + random() % 62));
    all.push_back(duration);
    latencies.add(duration);
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(latencies.count(), all.size());
  EXPECT_EQ(latencies.longest(), all.back());
  for (const double quantile : {0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const nanoseconds right = all[static_cast<std::size_t>(quantile * static_cast<double>(all.size())) - 1];
    EXPECT_GE(latencies.at(quantile), right) << quantile;
    EXPECT_LE(latencies.at(quantile).count(), right.count() + right.count() / 64) << quantile;
  }
}

TEST(Latencies, ThatRanBackwardsAreZero) {
  Latencies latencies;
  latencies.add(nanoseconds(-5));
  EXPECT_EQ(latencies.at(1), nanoseconds(0));
}

}  // namespace
}  // namespace weir::load
