#include "receive/predictor.h"

#include <gtest/gtest.h>

#include <array>

namespace weir::detail {
namespace {

constexpr std::array<std::uint32_t, 8> kSizes{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};

TEST(Predictor, StartsInTheMiddleOrWhereItCan) {
  EXPECT_EQ(Predictor(kSizes).predict(), 2048U);
  constexpr std::array<std::uint32_t, 2> small{64, 128};
  EXPECT_EQ(Predictor(small).predict(), 128U);
  constexpr std::array<std::uint32_t, 2> large{16384, 65536};
  EXPECT_EQ(Predictor(large).predict(), 16384U);
}

TEST(Predictor, AFullReadGrowsItAtOnce) {
  Predictor predictor(kSizes);
  predictor.observe(2048);
  EXPECT_EQ(predictor.predict(), 32768U);
  predictor.observe(32768);
  EXPECT_EQ(predictor.predict(), 65536U) << "no further than the largest";
  predictor.observe(65536);
  EXPECT_EQ(predictor.predict(), 65536U);
}

TEST(Predictor, TwoSmallReadsShrinkItByOne) {
  Predictor predictor(kSizes);
  predictor.observe(1024);
  EXPECT_EQ(predictor.predict(), 2048U) << "one says nothing";
  predictor.observe(1);
  EXPECT_EQ(predictor.predict(), 1024U);
  predictor.observe(1);
  EXPECT_EQ(predictor.predict(), 1024U) << "two again";
  predictor.observe(1);
  EXPECT_EQ(predictor.predict(), 512U);
  for (int i = 0; i < 10; ++i) predictor.observe(1);
  EXPECT_EQ(predictor.predict(), 512U) << "no further than the smallest";
}

TEST(Predictor, WhatNeedsTheSizeKeepsIt) {
  Predictor predictor(kSizes);
  for (int i = 0; i < 10; ++i) predictor.observe(1025 + static_cast<std::uint32_t>(i));
  EXPECT_EQ(predictor.predict(), 2048U);
}

TEST(Predictor, AFullReadForgetsASmallOne) {
  Predictor predictor(kSizes);
  predictor.observe(1);
  predictor.observe(2048);
  predictor.observe(1);
  EXPECT_EQ(predictor.predict(), 32768U);
}

TEST(Predictor, OneSizeIsAllThereIs) {
  constexpr std::array<std::uint32_t, 1> only{4096};
  Predictor predictor(only);
  for (const std::uint32_t bytes : {1U, 1U, 4096U, 4096U, 1U, 1U}) {
    predictor.observe(bytes);
    EXPECT_EQ(predictor.predict(), 4096U);
  }
}

}  // namespace
}  // namespace weir::detail
