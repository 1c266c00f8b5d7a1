#include "chart.h"

#include <gtest/gtest.h>

#include <map>

namespace weir::tool {
namespace {

/// Eighths of a character that each holder has in a column.
std::map<Holding, int> heights(const std::vector<std::vector<ChartCell>>& rows, std::size_t column) {
  std::map<Holding, int> heights;
  for (const auto& row : rows) {
    heights[row[column].below] += row[column].eighths;
    heights[row[column].above] += 8 - row[column].eighths;
  }
  return heights;
}

TEST(Chart, AColumnIsDividedAsItsHolders) {
  const auto rows = draw_chart({{10, 20, 0, 30, 40}}, 1, 10);
  auto column = heights(rows, 0);
  EXPECT_EQ(column[Holding::request], 8);
  EXPECT_EQ(column[Holding::ring], 16);
  EXPECT_EQ(column[Holding::user], 0);
  EXPECT_EQ(column[Holding::cached], 24);
  EXPECT_EQ(column[Holding::free], 32);
  EXPECT_EQ(rows.back()[0].below, Holding::request) << "the bottom";
  EXPECT_EQ(rows.front()[0].below, Holding::free) << "the top";
}

TEST(Chart, ACharacterIsOfTwoHolders) {
  const auto rows = draw_chart({{0, 0, 5, 0, 11}}, 1, 1);
  EXPECT_EQ(rows[0][0].below, Holding::user);
  EXPECT_EQ(rows[0][0].above, Holding::free);
  EXPECT_EQ(rows[0][0].eighths, 3) << "5 of 16, in eighths, rounded up from two and a half";
}

TEST(Chart, TheHighestColumnThatIsSeenReachesTheTop) {
  std::deque<Holdings> samples{{0, 0, 1000, 0, 0}, {0, 0, 50, 0, 0}, {0, 0, 100, 0, 0}};
  const auto rows = draw_chart(samples, 2, 4);
  EXPECT_EQ(heights(rows, 0)[Holding::user], 16);
  EXPECT_EQ(heights(rows, 1)[Holding::user], 32);
  EXPECT_EQ(rows[0][0].below, Holding::nobody);
}

TEST(Chart, BeginsAtTheRightEdge) {
  const auto rows = draw_chart({{0, 0, 1, 0, 0}}, 5, 2);
  for (std::size_t column = 0; column < 4; ++column) EXPECT_EQ(rows[1][column].below, Holding::nobody) << column;
  EXPECT_EQ(rows[1][4].below, Holding::user);
}

TEST(Chart, OfNothingIsEmpty) {
  for (const auto& samples : {std::deque<Holdings>{}, std::deque<Holdings>{{}}}) {
    const auto rows = draw_chart(samples, 3, 2);
    ASSERT_EQ(rows.size(), 2U);
    for (const auto& row : rows) {
      for (const ChartCell& cell : row) EXPECT_EQ(cell.below, Holding::nobody);
    }
  }
}

TEST(Chart, HoldingsAreBytes) {
  PoolView pool{.name = {}, .arenas = {}, .nodes = {NodeRow{}, NodeRow{}}, .rings = {}};
  ClassRow row{.bytes = 1000, .tally = {}};
  row.tally.counts = {.capacity = 15, .free = 1, .cached = 2, .user = 3, .kernel_ring = 4, .kernel_request = 5};
  for (NodeRow& node : pool.nodes) node.classes = {row};
  EXPECT_EQ(holdings_of(pool), (Holdings{10'000, 8'000, 6'000, 4'000, 2'000}));
  EXPECT_DOUBLE_EQ(sum_of(holdings_of(pool)), 30'000);
}

}  // namespace
}  // namespace weir::tool
