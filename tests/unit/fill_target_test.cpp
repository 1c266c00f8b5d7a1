#include "receive/fill_target.h"

#include <gtest/gtest.h>

namespace weir::detail {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kMost = 256;

struct StockTest : ::testing::Test {
  void use(std::uint32_t count, milliseconds later = milliseconds(1)) { target.note_used(count, now += later); }
  os::Time now{std::chrono::hours(1)};
  FillTarget target{kMost};
};

TEST_F(StockTest, ItBeginsSmall) {
  EXPECT_EQ(target.wanted(), 8U);
  EXPECT_EQ(FillTarget(4).wanted(), 4U);
}

TEST_F(StockTest, ItGrowsAtOnceToTwiceWhatWasUsed) {
  use(5);
  EXPECT_EQ(target.wanted(), 16U);
  use(50);
  EXPECT_EQ(target.wanted(), 128U);
  use(200);
  EXPECT_EQ(target.wanted(), kMost);
}

TEST_F(StockTest, ItHalvesWhileLittleIsUsed) {
  use(100);
  ASSERT_EQ(target.wanted(), kMost);
  use(1, milliseconds(50));
  EXPECT_EQ(target.wanted(), kMost);
  use(1, milliseconds(51));
  EXPECT_EQ(target.wanted(), kMost / 2);
  use(1, milliseconds(50));
  EXPECT_EQ(target.wanted(), kMost / 2);
  for (int i = 0; i < 20; ++i) use(1, milliseconds(101));
  EXPECT_EQ(target.wanted(), 8U);
}

TEST_F(StockTest, ItStaysWhileAQuarterIsUsedNowAndThen) {
  use(60);
  ASSERT_EQ(target.wanted(), 128U);
  for (int i = 0; i < 40; ++i) use(i % 4 == 0 ? 40 : 0, milliseconds(26));
  EXPECT_EQ(target.wanted(), 128U);
}

}  // namespace
}  // namespace weir::detail
